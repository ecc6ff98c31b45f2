/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

static const char help[] =
	"Usage: hsmint reload [--control PATH]\n"
	"\n"
	"Have the service read its configuration and certificates again, without dropping a connection.\n"
	"A configuration with a fault is refused, and the one before stays in force.\n"
	"\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint reload --control run/control.sock";

int command_reload(int argc, char **argv)
{
	return control_command(argc, argv, help, "{\"command\":\"reload\"}", NULL);
}
