/* SPDX-License-Identifier: Apache-2.0 */
/* The register of agents as a file: one agent a line, as a JSON object. */
#ifndef HSMINT_AGENT_REGISTER_H
#define HSMINT_AGENT_REGISTER_H

#include "api_command.h"

/* Register what stands in the file `words->text`, - for standard input, in batches that are all registered or not at
 * all. Returns the exit status. Source: agent_import.c */
int agent_import(struct api_way *way, const struct api_words *words);

/* Print every agent. Returns the exit status. Source: agent_export.c */
int agent_export(struct api_way *way, const struct api_words *words);

#endif
