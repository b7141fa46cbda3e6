// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/mm.h>

int page_is_buddy(const struct page *page)
{
	return page->page_type & PG_buddy;
}
