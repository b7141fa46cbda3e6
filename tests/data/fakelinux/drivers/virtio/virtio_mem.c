// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/mm.h>

int virtio_mem_plug(unsigned long pfn, unsigned long nr_pages);
int virtio_mem_plug(unsigned long pfn, unsigned long nr_pages)
{
	return online_pages(pfn, nr_pages);
}
