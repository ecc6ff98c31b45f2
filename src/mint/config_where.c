/* SPDX-License-Identifier: Apache-2.0 */
#include "config_where.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

static bool load(const char *path, yaml_document_t *document)
{
	yaml_parser_t parser;
	bool loaded = false;
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	if (yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_file(&parser, file);
		loaded = yaml_parser_load(&parser, document);
		yaml_parser_delete(&parser);
	}
	fclose(file);
	return loaded;
}

static unsigned line_of(const yaml_node_t *node)
{
	return (unsigned)node->start_mark.line + 1;
}

static bool is_key(const yaml_node_t *node, const char *name)
{
	return node && node->type == YAML_SCALAR_NODE && strcmp((const char *)node->data.scalar.value, name) == 0;
}

static yaml_node_t *member_of(yaml_document_t *document, yaml_node_t *node, const char *name)
{
	if (!node || node->type != YAML_MAPPING_NODE)
		return NULL;
	yaml_node_pair_t *end = node->data.mapping.pairs.top;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < end; pair++)
		if (is_key(yaml_document_get_node(document, pair->key), name))
			return yaml_document_get_node(document, pair->value);
	return NULL;
}

static yaml_node_t *item_of(yaml_document_t *document, yaml_node_t *node, int index)
{
	if (!node || node->type != YAML_SEQUENCE_NODE)
		return NULL;
	yaml_node_item_t *item = node->data.sequence.items.start + index;
	return item < node->data.sequence.items.top ? yaml_document_get_node(document, *item) : NULL;
}

unsigned config_line(const char *path, const char *list, int index, const char *member)
{
	yaml_document_t document;
	unsigned line = 0;
	if (!load(path, &document))
		return 0;
	yaml_node_t *node = member_of(&document, yaml_document_get_root_node(&document), list);
	if (node && index >= 0)
		node = item_of(&document, node, index);
	yaml_node_t *inner = member ? member_of(&document, node, member) : NULL;
	if (inner || node)
		line = line_of(inner ? inner : node);
	yaml_document_delete(&document);
	return line;
}

/* In one mapping; 0 when it is not there. */
static unsigned line_of_key_in(
	yaml_document_t *document, yaml_node_t *node, const char *name, unsigned from, bool again)
{
	if (node->type != YAML_MAPPING_NODE)
		return 0;
	yaml_node_pair_t *end = node->data.mapping.pairs.top;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < end; pair++) {
		yaml_node_t *key = yaml_document_get_node(document, pair->key);
		if (!is_key(key, name))
			continue;
		if (!again && line_of(key) >= from)
			return line_of(key);
		again = false;
	}
	return 0;
}

unsigned config_line_of_key(const char *path, const char *name, unsigned from, bool again)
{
	yaml_document_t document;
	unsigned best = 0;
	if (!load(path, &document))
		return from;
	for (int i = 1; yaml_document_get_node(&document, i); i++) {
		unsigned line = line_of_key_in(&document, yaml_document_get_node(&document, i), name, from, again);
		if (line && (!best || line < best))
			best = line;
	}
	yaml_document_delete(&document);
	return best ? best : from;
}
