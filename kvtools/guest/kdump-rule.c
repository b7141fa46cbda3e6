// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stands for the udev rule of kdump.service: loads the crash kernel again as memory changes.
 *
 * Arguments: COMMAND...: what loads it. The rule that distributions ship is
 * SUBSYSTEM=="memory", ACTION=="online|offline" (kdump-utils 98-kexec.rules); no udevd runs in the
 * guest, so the kernel's own uevents are read. Prints "listening", then a line "event ACTION
 * DEVPATH" for each that the rule matches, and "loaded N" when the crash kernel has been loaded
 * after N of them. In C for the reason that canary.c gives.
 */
#include <err.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KERNEL_EVENTS 1 /* the multicast group */
#define QUIET_MS 300 /* without an event before it loads: events come in bursts */

static const char *field(const char *message, size_t length, const char *name)
{
	const char *end = message + length;

	for (; message < end; message += strlen(message) + 1)
		if (!strncmp(message, name, strlen(name)))
			return message + strlen(name);
	return "";
}

static int matches(const char *message, size_t length)
{
	const char *action = field(message, length, "ACTION=");

	if (strcmp(field(message, length, "SUBSYSTEM="), "memory"))
		return 0;
	if (strcmp(action, "online") && strcmp(action, "offline"))
		return 0;
	printf("event %s %s\n", action, field(message, length, "DEVPATH="));
	return 1;
}

static void load(char **command)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		execvp(command[0], command);
		err(1, "%s", command[0]);
	}
	if (waitpid(child, &status, 0) < 0 || status)
		errx(1, "the crash kernel could not be loaded again");
}

int main(int argc, char **argv)
{
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_EVENTS };
	struct pollfd events = { .events = POLLIN };
	unsigned int seen = 0, loaded = 0;
	static char message[(1 << 16) + 1];
	ssize_t length;

	if (argc < 2)
		errx(1, "usage: kdump-rule COMMAND...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	events.fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
	if (events.fd < 0 || bind(events.fd, (struct sockaddr *)&group, sizeof(group)))
		err(1, "uevents");
	puts("listening");
	for (;;) {
		if (!poll(&events, 1, seen > loaded ? QUIET_MS : -1)) {
			unsigned int before = seen;

			load(argv + 1);
			loaded = before;
			printf("loaded %u\n", loaded);
			continue;
		}
		length = recv(events.fd, message, sizeof(message) - 1, 0);
		if (length < 0)
			err(1, "uevents");
		message[length] = '\0';
		seen += matches(message, length);
	}
}
