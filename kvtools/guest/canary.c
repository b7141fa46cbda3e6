// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Put pages with a known content into parts of physical memory, and tell where they are.
 *
 * Arguments: MIB TOKEN START-END...: locks anonymous memory, a little at a time and MIB mebibytes
 * at most, until some of it lies in each range of physical addresses (hex, END exclusive); writes
 * a pattern (pattern() of kvtools/scenarios/dump_state.py) into up to 64 pages of each range,
 * prints "START FRAME:INDEX ..." for it, then "ready", and stays until it is killed.
 *
 * In C, because a guest under TCG takes 2.5 processor seconds to start python3 for the first time.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define PRESENT (1ULL << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define FRAME ((1ULL << 55) - 1)
#define MOST 64
#define STEP (2UL << 20)

static uint64_t *frames; /* of each page of the memory, 0 where there is none */
static size_t pages;

static void grow(char *memory, int pagemap)
{
	size_t count = STEP / PAGE;
	char *piece = memory + pages * PAGE;

	if (mlock(piece, STEP))
		err(1, "mlock failed");
	if (pread(pagemap, frames + pages, count * 8, (uintptr_t)piece / PAGE * 8) !=
	    (ssize_t)(count * 8))
		err(1, "/proc/self/pagemap");
	for (size_t i = pages; i < pages + count; i++)
		frames[i] = frames[i] & PRESENT ? frames[i] & FRAME : 0;
	pages += count;
}

static size_t found(uint64_t start, uint64_t end)
{
	size_t n = 0;

	for (size_t i = 0; i < pages; i++)
		n += frames[i] >= start && frames[i] < end;
	return n;
}

static void put(char *memory, const char *token, uint64_t start, uint64_t end)
{
	size_t count = found(start, end), stride = count / MOST ? count / MOST : 1;
	size_t seen = 0, chosen = 0;
	char line[33];

	printf("%llx", (unsigned long long)(start * PAGE));
	for (size_t i = 0; i < pages && chosen < MOST; i++) {
		if (frames[i] < start || frames[i] >= end || seen++ % stride)
			continue;
		snprintf(line, sizeof(line), "%16.16s%016llx", token, (unsigned long long)i);
		for (size_t at = 0; at < PAGE; at += 32)
			memcpy(memory + i * PAGE + at, line, 32);
		printf(" %llu:%zu", (unsigned long long)frames[i], i);
		chosen++;
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t most, ranges = argc > 3 ? argc - 3 : 0, missing = ranges;
	char *memory;

	if (!ranges || pagemap < 0)
		errx(1, "usage: canary MIB TOKEN START-END...");
	most = strtoul(argv[1], NULL, 10) << 20;
	memory = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	frames = calloc(most / PAGE, sizeof(*frames));
	if (memory == MAP_FAILED || !frames)
		err(1, "%zu MiB", most >> 20);

	uint64_t bounds[ranges][2];

	for (size_t r = 0; r < ranges; r++) {
		char *dash;

		bounds[r][0] = strtoull(argv[3 + r], &dash, 16) / PAGE;
		bounds[r][1] = *dash == '-' ? strtoull(dash + 1, NULL, 16) / PAGE : 0;
	}
	while (missing && (pages + STEP / PAGE) * PAGE <= most) {
		grow(memory, pagemap);
		missing = 0;
		for (size_t r = 0; r < ranges; r++)
			missing += !found(bounds[r][0], bounds[r][1]);
	}
	for (size_t r = 0; r < ranges; r++)
		put(memory, argv[2], bounds[r][0], bounds[r][1]);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
