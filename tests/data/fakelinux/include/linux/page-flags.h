/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _LINUX_PAGE_FLAGS_H
#define _LINUX_PAGE_FLAGS_H

#define PG_buddy	0x00000080
#define PG_kmemcg	0x00000200
#define PG_table	0x00000400

#endif /* _LINUX_PAGE_FLAGS_H */
