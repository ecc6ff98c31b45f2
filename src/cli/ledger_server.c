/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_server.h"

#include "log_url.h"
#include <string.h>

bool ledger_is_url(const char *place)
{
	return strstr(place, "://") != NULL;
}

bool ledger_server_option(struct ledger_server *server, const char *name, const char *value)
{
	if (strcmp(name, "ca") == 0)
		server->identity.ca = value;
	else if (strcmp(name, "cert") == 0)
		server->identity.certificate = value;
	else if (strcmp(name, "key") == 0)
		server->identity.key = value;
	else
		return false;
	return true;
}

hm_result ledger_server_open(struct ledger_server *server, const char *url, struct hm_problem *why)
{
	const struct http_identity *identity = &server->identity;
	if (!identity->certificate != !identity->key)
		return hm_refuse(why, "config", NULL, "--cert and --key belong together");
	HM_TRY(http_client_open(url, identity, &server->client, why));
	return log_url(server->client, &server->ledger, why);
}

void ledger_server_close(struct ledger_server *server)
{
	http_client_close(server->client);
	server->client = NULL;
}
