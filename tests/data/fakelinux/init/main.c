// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/mm.h>

extern const char linux_banner[];

int start_kernel(void);
int start_kernel(void)
{
	struct page page = { .page_type = PG_buddy };

	return page_is_buddy(&page) + linux_banner[0];
}
