/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _LINUX_MM_H
#define _LINUX_MM_H

#include <linux/page-flags.h>

struct page {
	unsigned int page_type;
};

int page_is_buddy(const struct page *page);
int online_pages(unsigned long pfn, unsigned long nr_pages);

#endif /* _LINUX_MM_H */
