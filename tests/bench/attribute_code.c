// SPDX-License-Identifier: GPL-2.0
/* The guest's code: its symbols, and its instructions. */
#include "attribute.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Symbols
 */

struct symbols toa_data;
static struct symbols text;
uint64_t per_cpu_start, per_cpu_end;

static void symbol_add(struct symbols *to, uint64_t address, const char *name, bool toa)
{
	if ((to->count & (to->count + 1)) == 0)
		to->list = need(realloc(to->list, 2 * (to->count + 1) * sizeof(*to->list)));
	to->list[to->count++] = (struct symbol){ address, need(strdup(name)), toa };
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The last symbol that does not begin behind an address, or NULL. */
const struct symbol *symbol_of(const struct symbols *in, uint64_t address)
{
	size_t low = 0, high = in->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (in->list[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &in->list[low - 1] : NULL;
}

void symbols_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024], name[512], module[64];
	unsigned long long address;
	char type;

	if (!f)
		die("no disk");
	while (fgets(line, sizeof(line), f) && line[0]) {
		int n = sscanf(line, "%llx %c %511s [%63[^]]", &address, &type, name, module);
		bool toa = n == 4 && !strcmp(module, "toa");

		if (n < 3 || !strncmp(name, "__pfx_", 6))
			continue;
		if (!strcmp(name, "__per_cpu_start"))
			per_cpu_start = address;
		if (!strcmp(name, "__per_cpu_end"))
			per_cpu_end = address;
		if (strchr("tTwW", type))
			symbol_add(&text, address, name, toa);
		else if (toa)
			symbol_add(&toa_data, address, name, toa);
	}
	fclose(f);
	if (!text.count || !toa_data.count || !per_cpu_end)
		die("the guest's symbols do not name the module, or no variables");
	qsort(text.list, text.count, sizeof(*text.list), by_address);
	qsort(toa_data.list, toa_data.count, sizeof(*toa_data.list), by_address);
}

/*
 * Instructions, as QEMU disassembles them when it first meets them
 */

/* As QEMU writes them before =, and as operands have them behind %. */
static const char reg_log[REGS][4] = {
	"RAX", "RBX", "RCX", "RDX", "RSP", "RSI", "RDI", "RBP", "R8 ", "R9 ", "R10", "R11",
	"R12", "R13", "R14", "R15", "RIP",
};

struct insn insns[INSNS_MAX];
unsigned int insn_count = 1;	/* 0 is none */
static unsigned int insn_hash[2 * INSNS_MAX];

unsigned int insn_of(uint64_t pc)
{
	unsigned int h = (pc * 0x9e3779b97f4a7c15ULL) >> 32;

	for (;; h++) {
		unsigned int *i = &insn_hash[h % (2 * INSNS_MAX)];

		if (*i && insns[*i].pc != pc)
			continue;
		if (!*i) {
			if (insn_count == INSNS_MAX)
				die("too many instructions");
			*i = insn_count++;
			insns[*i].pc = pc;
		}
		return *i;
	}
}

int reg_of(const char *name, size_t len)
{
	char upper[4] = "   ";
	size_t i;
	int reg;

	for (i = 0; i < len && i < 3; i++)
		upper[i] = toupper((unsigned char)name[i]);
	for (reg = 0; reg < REGS; reg++)
		if (!strcmp(upper, reg_log[reg]))
			return reg;
	return REG_NONE;
}

/* SHIFT(%BASE, %INDEX, SCALE) */
static void parse_memory(struct insn *insn, const char *operand)
{
	const char *p;

	insn->per_cpu = !strncmp(operand, "%gs:", 4);
	p = strchr(operand, ':');
	p = p ? p + 1 : operand;
	insn->shift = *p == '-' ? -strtoull(p + 1, NULL, 0) : strtoull(p, NULL, 0);
	insn->base = REG_NONE;
	insn->index = REG_NONE;
	insn->scale = 1;
	p = strchr(p, '(');
	if (!p)
		return;
	p++;
	if (*p == '%')
		insn->base = reg_of(p + 1, strcspn(p + 1, ",)"));
	p = strchr(p, ',');
	if (!p)
		return;
	p += 1 + strspn(p + 1, " ");
	if (*p == '%')
		insn->index = reg_of(p + 1, strcspn(p + 1, ",)"));
	p = strchr(p, ',');
	if (p)
		insn->scale = atoi(p + 1);
}

static bool in_memory(const char *operand)
{
	return strchr(operand, '(') || !strncmp(operand, "%gs:", 4) ||
	       isdigit((unsigned char)*operand);
}

static bool begins_with_any(const char *word, const char *const *with)
{
	for (; *with; with++)
		if (!strncmp(word, *with, strlen(*with)))
			return true;
	return false;
}

/* Splits off the last operand; returns the one before it, or an empty text. */
static char *last_operand(char *operands, char **last)
{
	int depth = 0;
	char *p;

	*last = operands;
	for (p = operands; *p; p++) {
		depth += (*p == '(') - (*p == ')');
		if (*p == ',' && !depth)
			*last = p;
	}
	if (*last == operands)
		return "";
	*(*last)++ = 0;
	*last += strspn(*last, " ");
	return operands;
}

static void parse_insn(struct insn *insn, char *asm_text)
{
	static const char *const stores[] = {
		"mov", "add", "adc", "sub", "sbb", "and", "or", "xor", "inc", "dec", "neg", "not",
		"set", "xchg", "xadd", "cmpxchg", "bts", "btr", "btc", "shl", "shr", "sar", "sal",
		"rol", "ror", "stos", "pop", NULL
	};
	char *word = strtok(asm_text, " "), *rest, *before, *last;

	insn->locked = false;
	while (word && (!strcmp(word, "lock") || !strncmp(word, "rep", 3))) {
		insn->locked |= *word == 'l';
		word = strtok(NULL, " ");
	}
	if (!word)
		return;
	insn->known = true;
	insn->call = !strncmp(word, "call", 4);
	insn->jump = *word == 'j';
	insn->store = false;
	rest = strtok(NULL, "");
	if (!rest || insn->call || insn->jump)
		return;
	before = last_operand(rest + strspn(rest, " "), &last);
	if (!strncmp(word, "xchg", 4) && in_memory(before))
		last = before;
	if (!in_memory(last))
		return;
	insn->locked |= !strncmp(word, "xchg", 4);
	insn->store = begins_with_any(word, stores);
	parse_memory(insn, last);
}

/* 0xADDRESS:  BYTES  INSTRUCTION; without an instruction, more bytes of the last one. */
void read_asm(char *line)
{
	static struct insn *previous;
	char *p, *end;
	uint64_t pc = strtoull(line, &p, 16);
	unsigned int len = 0;

	if (*p++ != ':')
		return;
	p += strspn(p, " ");
	while (isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1]) &&
	       (p[2] == ' ' || !p[2])) {
		len++;
		p += p[2] ? 3 : 2;
		if (*p == ' ')
			break;
	}
	p += strspn(p, " ");
	for (end = p + strlen(p); end > p && end[-1] == ' ';)
		*--end = 0;
	if (!*p) {
		if (previous && pc == previous->pc + previous->len)
			previous->len += len;
		return;
	}
	previous = &insns[insn_of(pc)];
	previous->len = len;
	parse_insn(previous, p);
}

const struct symbol *symbol_at(unsigned int i)
{
	struct insn *insn = &insns[i];

	if (!insn->symbol && insn->pc >> 63)
		insn->symbol = symbol_of(&text, insn->pc);
	return insn->symbol;
}
