// SPDX-License-Identifier: GPL-2.0-or-later
#include "generated/compile.h"

extern const char linux_banner[];

const char linux_banner[] =
	"Linux version " UTS_RELEASE " (" LINUX_COMPILE_BY "@"
	LINUX_COMPILE_HOST ") " UTS_VERSION "\n";
