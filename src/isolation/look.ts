import type { IsolationWay } from '../domain/canaries.js';
import { parseTenantId } from '../domain/ids.js';
import { MEMORY_SCHEMA } from '../domain/profiles.js';
import { inLanes } from '../inLanes.js';
import { documentIdText } from '../vespa/documents.js';
import { canaryAt } from './canaries.js';
import type { Member } from './member.js';
import { type Found, MOST, type Schema, type Ways } from './ways.js';

/** What one looks by. The other two of {@link Ways} say where. */
export type LooksBy = Exclude<keyof Ways, 'schemasOf' | 'projectOf'>;

/** What is looked by, and the check that it is a part of: all of memory are one. */
interface Looking {
  readonly name: IsolationWay;
  readonly by: LooksBy;
}
const SPANS: Looking = { name: 'spans', by: 'spans' };
const CONFIG: Looking = { name: 'config', by: 'config' };
const REMEMBERING: Looking = { name: 'memory', by: 'remember' };

/** Something that is not as it should be. Names and ids only: never what a document, span or value holds. */
export interface Finding extends Looking {
  /** Who looked. */
  readonly a: string;
  /** Whose it is that was seen, by what it says of itself; `a` itself for its own canary that was not, or another life's. */
  readonly b: string;
  readonly detail: string;
  /** Its own canary was not found: also what a change of the tenant meanwhile does. */
  readonly missing: boolean;
}

export interface Look {
  /** Ways that the tenant has: not every one has memory, or sends spans. */
  readonly ways: readonly IsolationWay[];
  readonly findings: readonly Finding[];
}

/** Whose document, when it says nothing that could be a tenant. */
const UNKNOWN = '(unknown)';
/** Requests of one look at a time. */
const LANES = 8;

/** One tenant looks by all of its ways for its own canaries, and for everybody else's at once. */
export async function look(
  ways: Ways,
  me: Member,
  others: readonly Member[],
  signal: AbortSignal,
): Promise<Look> {
  const eye = new Eye(me, others);
  for (const schema of await ways.schemasOf(me)) {
    const memory = schema.baseSchema === MEMORY_SCHEMA;
    const [search, get, visit] = (['search', 'get', 'visit'] as const).map((by) => ({
      ...{ name: memory ? 'memory' : by, by },
    })) as [Looking, Looking, Looking];
    eye.see(search, `search of ${schema.schemaName}`, await ways.search(schema, me, signal), schema);
    eye.see(visit, `visit of ${schema.schemaName}`, await ways.visit(schema, signal), schema);
    if (!(await ways.get(schema, me, signal))) eye.miss(get, `no document ${idIn(schema, me)}`);
    await inLanes(
      others,
      LANES,
      async (other, either) => {
        if (await ways.get(schema, other, either))
          eye.find(get, other.tenant, `there is a document ${idIn(schema, other)}`);
      },
      signal,
    );
    eye.passed(get);
    if (memory) eye.recall(schema, await ways.remember(schema, me, signal));
  }
  const project = await ways.projectOf(me);
  if (project !== undefined) eye.see(SPANS, `project ${project}`, await ways.spans(project, me));
  eye.read(await ways.config(me));
  return eye;
}

class Eye implements Look {
  readonly findings: Finding[] = [];
  private readonly gone = new Set<IsolationWay>();
  private readonly byToken: ReadonlyMap<unknown, Member>;
  private readonly byLife: ReadonlyMap<string, Member>;

  constructor(
    private readonly me: Member,
    others: readonly Member[],
  ) {
    this.byToken = new Map(others.map((other) => [other.token, other]));
    this.byLife = new Map(others.map((other) => [other.incarnation, other]));
  }

  get ways(): IsolationWay[] {
    return [...this.gone];
  }

  passed({ name }: Looking): void {
    this.gone.add(name);
  }

  find(looking: Looking, b: string, detail: string): void {
    this.findings.push({ ...looking, a: this.me.tenant, b, detail, missing: false });
  }

  miss(looking: Looking, detail: string): void {
    this.findings.push({ ...looking, a: this.me.tenant, b: this.me.tenant, detail, missing: true });
  }

  /** @param schema where documents were looked for; undefined for spans */
  see(looking: Looking, where: string, found: readonly Found[], schema?: Schema): void {
    this.passed(looking);
    const { me } = this;
    const ownId = schema && idIn(schema, me);
    const isOwn = ({ id, tenant, token }: Found) =>
      token === me.token && tenant === me.tenant && (ownId === undefined || id === ownId);
    for (const one of found) {
      if (isOwn(one)) continue;
      const whose = one.tenant === me.tenant ? 'another life or place of its own' : 'not its own';
      this.find(looking, this.ownerOf(one), `${where}: ${one.id.slice(0, 200)} is ${whose}`);
    }
    // Cut off, it says nothing of what is not in it.
    if (found.length < MOST && !found.some(isOwn))
      this.miss(looking, `${where}: its own canary is not found`);
  }

  /** @param ids of memories that say they are this tenant's */
  recall({ schemaName }: Schema, ids: readonly string[]): void {
    const where = `search of the memory in ${schemaName}`;
    if (!ids.includes(this.me.incarnation)) this.miss(REMEMBERING, `${where}: its own canary is not found`);
    for (const id of ids)
      if (id !== this.me.incarnation)
        this.find(REMEMBERING, this.byLife.get(id)?.tenant ?? UNKNOWN, `${where}: ${id} is not its own`);
  }

  read(tokens: readonly string[]): void {
    this.passed(CONFIG);
    if (!tokens.includes(this.me.token)) this.miss(CONFIG, 'its own canary is not found');
    for (const token of tokens)
      if (token !== this.me.token)
        this.find(CONFIG, this.byToken.get(token)?.tenant ?? UNKNOWN, 'a canary that is not its own');
  }

  private ownerOf({ tenant, token }: Found): string {
    const known = this.byToken.get(token)?.tenant;
    if (known !== undefined) return known;
    try {
      return parseTenantId(tenant);
    } catch {
      return UNKNOWN;
    }
  }
}

function idIn({ schemaName }: Schema, member: Member): string {
  return documentIdText(canaryAt(schemaName, member));
}
