import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { denialOf } from '../../../src/access/principal.js';
import { hasOption } from '../../support/access/commandTree.js';
import { accessDocument, decidedTable } from '../../support/access/table.js';
import { buildProgram } from '../../../src/cli/main.js';
import {
  ENTITIES,
  LOCAL,
  type Role,
  UPDATES,
  VERBS,
  type Verb,
  WORKFLOWS,
} from '../../../src/domain/access.js';
import { parseTenantId } from '../../../src/domain/ids.js';
import { projectRoot } from '../../../src/projectRoot.js';
import * as workflows from '../../../workflows/index.js';

const [own, other] = [parseTenantId('acme'), parseTenantId('other')];
const verbs = Object.keys(VERBS) as Verb[];
const bearer = (role: Role) => ({
  ...{ subject: 'ann', role, token: 'none' },
  tenant: role === 'reader' || role === 'operator' ? own : undefined,
});

function commandsOf(command: Command, name: readonly string[] = []): string[] {
  return command.commands.flatMap((child) =>
    child.commands.length > 0
      ? commandsOf(child, [...name, child.name()])
      : [[...name, child.name()].join(' ')],
  );
}

describe('the table of verbs', () => {
  it('has every command, and none that is not there', () => {
    const commands = commandsOf(buildProgram());
    const known = new Set<string>([...verbs, ...LOCAL]);
    expect(commands.filter((name) => !known.has(name))).toEqual([]);
    const plain = [...known].map((verb) => verb.replace(/ --.*/, ''));
    expect(plain.filter((name) => !commands.includes(name))).toEqual([]);
  });

  it.each(verbs.filter((verb) => VERBS[verb].changes))('%s can be asked what it would do', (verb) => {
    expect(hasOption(verb.split(' '), '--dry-run')).toBe(true);
  });

  it('has every workflow, and children only of those', () => {
    const entities: readonly string[] = Object.values(ENTITIES);
    const types = Object.keys(workflows).filter((type) => !entities.includes(type));
    expect(Object.keys(WORKFLOWS).toSorted()).toEqual(types.toSorted());
    const children = Object.values(WORKFLOWS).flatMap(({ children: of = [] }) => of);
    expect(children.filter((type) => !types.includes(type))).toEqual([]);
    expect(Object.keys(UPDATES).filter((type) => !types.includes(type))).toEqual([]);
  });

  it.each(verbs)('%s: more role is never less right, and another tenant never one’s own', (verb) => {
    const may = (['reader', 'operator', 'admin'] as const).map(
      (role) => denialOf(bearer(role), verb, [own]) === undefined,
    );
    expect(may.toSorted()).toEqual(may);
    expect(denialOf(bearer('admin'), verb, [own, other])).toBeUndefined();
    for (const role of ['reader', 'operator'] as const)
      for (const named of [[other], [own, other]])
        expect(denialOf(bearer(role), verb, named), role).toBeDefined();
    if (VERBS[verb].scope === 'installation')
      for (const role of ['reader', 'operator'] as const)
        expect(denialOf(bearer(role), verb, []), role).toBeDefined();
    // What the workers hold is no key to anything else.
    expect(denialOf(bearer('system'), verb, [own])).toBeDefined();
  });

  // Quicker than the test that tries them all and writes it.
  it('is what docs/access-table.md says; if not: npm run docs:access', async () => {
    const file = path.join(projectRoot, 'docs', 'access-table.md');
    expect(await readFile(file, 'utf8')).toBe(accessDocument(decidedTable()));
  });
});
