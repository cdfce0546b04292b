import path from 'node:path';
import type { Verb } from '../../../src/domain/access.js';
import type { TenantId } from '../../../src/domain/ids.js';

export const PROFILE = 'video_colpali_smol500_mv_frame';

/** One tenant's things, by the names and ids that a command takes. Those not made yet have one that leads to nothing. */
export interface Things {
  readonly tenant: TenantId;
  /** A tenant that was purged, and has a certificate. */
  readonly erased: TenantId;
  /** Two tenants that nothing else is done with meanwhile. */
  readonly pair: readonly [TenantId, TenantId];
  /** A folder for files, with `videos/` in it and `empty/`. */
  readonly folder: string;
  /** Of a template. */
  readonly name: string;
  backup: string;
  operation: string;
  ingest: string;
  drill: string;
  memory: string;
  alert: string;
  token: string;
}

/** What a command answers of what later ones name. */
interface Answer {
  readonly operation: string;
  readonly backup: string;
  readonly id: string;
  readonly memories: readonly [{ readonly id: string }];
}

export interface Try {
  readonly args: (things: Things) => readonly string[];
  /** Exit codes of one that was let in; 0 alone when left out. Never 2, which is usage, nor 4. */
  readonly exits?: readonly number[];
  /** It changes nothing as it is tried here, though others of its verb do. */
  readonly idle?: true;
  /** What of the answer later tries name. */
  readonly keep?: (things: Things, answer: Answer) => void;
}

/** Found something to do, or to be wrong: after it was let in. */
const FOUND = [0, 8];
/** What was to be steered may have ended meanwhile. */
const RUNNING = [0, 6];
const NO_WAIT = '--no-wait';
const RARELY = ['--every', '30d'];

const about =
  (...words: readonly string[]) =>
  ({ tenant }: Things) => [...words, tenant];

/**
 * Every verb once, as one command line. Whoever may does them in this order, so that the later ones find what the earlier
 * ones made; the dry runs are of those that would reach into other tests' tenants.
 */
export const TRIES: Readonly<Record<Verb, Try>> = {
  'tenant create': {
    args: ({ tenant }) => ['tenant', 'create', tenant, '--template', 'startup', '--profiles', PROFILE],
    keep: (things, { operation }) => (things.operation = operation),
  },
  'tenant list': { args: () => ['tenant', 'list'] },
  'tenant show': { args: about('tenant', 'show') },

  'template set': { args: ({ name }) => ['template', 'set', name, '--from', 'startup'] },
  'template show': { args: ({ name }) => ['template', 'show', name] },
  'template list': { args: () => ['template', 'list'] },
  'template remove': { args: ({ name }) => ['template', 'remove', name, `--confirm=${name}`] },

  'config set': { args: ({ tenant }) => ['config', 'set', tenant, '--set', 'cache_ttl=60'] },
  'config get': { args: about('config', 'get') },
  'config history': { args: about('config', 'history') },
  'config diff': { args: about('config', 'diff') },
  'config rollback': { args: ({ tenant }) => ['config', 'rollback', tenant, '--version', '1'] },

  'schema list': { args: about('schema', 'list', '--tenant') },
  'schema verify': { args: about('schema', 'verify', '--tenant') },
  'schema deploy': { args: about('schema', 'deploy', '--tenant') },
  'schema deploy --all': { args: () => ['schema', 'deploy', '--all', '--dry-run'], idle: true },
  // Nobody's by the registry, and not there either.
  'schema drop': { args: ({ name }) => ['schema', 'drop', name, `--confirm=${name}`], exits: [5] },

  'quota set': { args: ({ tenant }) => ['quota', 'set', tenant, 'videos=1000'] },
  'quota show': { args: about('quota', 'show') },

  'memory add': {
    args: ({ tenant }) => ['memory', 'add', tenant, 'likes dogs', '--user', 'ann'],
    keep: (things, { memories }) => (things.memory = memories[0].id),
  },
  'memory search': { args: ({ tenant }) => ['memory', 'search', tenant, 'dogs', '--user', 'ann'] },
  'memory list': { args: ({ tenant }) => ['memory', 'list', tenant, '--user', 'ann'] },
  'memory stats': { args: about('memory', 'stats') },
  'memory export': {
    args: ({ tenant, folder }) => ['memory', 'export', tenant, path.join(folder, `${tenant}.jsonl`)],
  },
  'memory schedule set': {
    args: ({ tenant }) => ['memory', 'schedule', 'set', tenant, '--older-than', '1y', ...RARELY],
  },
  'memory schedule show': { args: about('memory', 'schedule', 'show') },
  'memory schedule remove': { args: about('memory', 'schedule', 'remove') },

  'backup create': {
    args: ({ tenant }) => ['backup', 'create', tenant, '--consistency', 'fuzzy'],
    keep: (things, { backup }) => (things.backup = backup),
  },
  'backup list': { args: about('backup', 'list') },
  'backup verify': { args: ({ backup }) => ['backup', 'verify', backup] },
  'backup restore': { args: ({ backup }) => ['backup', 'restore', backup, '--preview'], idle: true },
  'backup restore --into': {
    args: ({ backup, name }) => ['backup', 'restore', backup, '--into', name, '--preview'],
    idle: true,
  },
  'backup hold': { args: ({ backup }) => ['backup', 'hold', backup, '--reason', 'a try'] },
  'backup release': { args: ({ backup }) => ['backup', 'release', backup, '--reason', 'a try'] },
  'backup prune': { args: ({ tenant }) => ['backup', 'prune', tenant, '--keep-last', '9'] },
  'backup prune --all': {
    args: () => ['backup', 'prune', '--all', '--keep-last', '9', '--dry-run'],
    idle: true,
  },
  'backup schedule': { args: ({ tenant }) => ['backup', 'schedule', tenant, ...RARELY] },
  'backup schedule --list': { args: about('backup', 'schedule', '--list') },
  'backup drill': {
    args: ({ tenant, backup }) => ['backup', 'drill', tenant, '--backup', backup, NO_WAIT],
    keep: (things, { operation }) => (things.drill = operation),
  },

  'op list': { args: about('op', 'list', '--tenant') },
  'op show': { args: ({ operation }) => ['op', 'show', operation] },
  'op watch': { args: ({ operation }) => ['op', 'watch', operation] },
  'op cancel': { args: ({ drill }) => ['op', 'cancel', drill], exits: RUNNING },
  ingest: {
    args: ({ tenant, folder }) => [
      ...['ingest', tenant, path.join(folder, 'videos'), '--profile', PROFILE, NO_WAIT],
    ],
    keep: (things, { operation }) => (things.ingest = operation),
  },
  'op pause': { args: ({ ingest }) => ['op', 'pause', ingest], exits: RUNNING },
  'op concurrency': { args: ({ ingest }) => ['op', 'concurrency', ingest, '1'], exits: RUNNING },
  'op resume': { args: ({ ingest }) => ['op', 'resume', ingest], exits: RUNNING },

  'watch add': {
    args: ({ tenant, folder }) => [
      ...['watch', 'add', tenant, path.join(folder, 'empty'), '--profile', PROFILE],
      ...[...RARELY, '--name', 'cam'],
    ],
  },
  'watch list': { args: about('watch', 'list') },
  'watch pause': { args: ({ tenant }) => ['watch', 'pause', tenant, 'cam'] },
  'watch resume': { args: ({ tenant }) => ['watch', 'resume', tenant, 'cam'] },
  'watch run': { args: ({ tenant }) => ['watch', 'run', tenant, 'cam'] },
  'watch remove': { args: ({ tenant }) => ['watch', 'remove', tenant, 'cam'] },

  search: {
    args: ({ tenant }) => ['search', tenant, 'dogs', '--profile', PROFILE, '--ranking', 'bm25_only'],
  },
  route: { args: ({ tenant }) => ['route', tenant, 'show me dogs'] },
  'optimize enable': { args: about('optimize', 'enable') },
  'optimize run': { args: about('optimize', 'run') },
  'optimize status': { args: about('optimize', 'status') },
  'optimize disable': { args: about('optimize', 'disable') },
  metrics: { args: about('metrics') },
  'metrics --all': { args: () => ['metrics', '--all'] },

  'memory import': {
    args: ({ tenant, folder }) => ['memory', 'import', tenant, path.join(folder, `${tenant}.jsonl`)],
  },
  'memory prune': { args: ({ tenant }) => ['memory', 'prune', tenant, '--older-than', '1y'] },
  'memory delete': { args: ({ tenant, memory }) => ['memory', 'delete', tenant, memory] },
  'memory clear': { args: ({ tenant }) => ['memory', 'clear', tenant, `--confirm=${tenant}`] },

  'alert list': { args: about('alert', 'list', '--tenant') },
  'alert silence': { args: ({ alert }) => ['alert', 'silence', alert, '--for', '4h'] },
  health: { args: about('health'), exits: FOUND },
  'health --all': { args: () => ['health', '--all'], exits: FOUND },
  diagnose: { args: about('diagnose'), exits: FOUND },
  // There is nothing to be mended.
  'diagnose --repair': { args: ({ tenant }) => ['diagnose', tenant, '--repair'], exits: FOUND, idle: true },
  'isolation verify': { args: ({ pair }) => ['isolation', 'verify', ...pair] },

  'audit list': { args: about('audit', 'list', '--tenant') },
  'audit verify': { args: () => ['audit', 'verify'] },
  'audit export': { args: ({ folder, name }) => ['audit', 'export', path.join(folder, `${name}.jsonl`)] },
  'token issue': {
    args: ({ tenant }) => ['token', 'issue', '--role', 'reader', '--tenant', tenant],
    keep: (things, { id }) => (things.token = id),
  },
  'token list': { args: () => ['token', 'list'] },
  'token revoke': { args: ({ token }) => ['token', 'revoke', token] },
  'token rotate-key': { args: () => ['token', 'rotate-key'] },

  'approval list': { args: about('approval', 'list', '--tenant') },
  // Nothing waits: what does is granted and refused in approvals.test.ts.
  'approval grant': { args: ({ operation }) => ['approval', 'grant', operation], exits: [5] },
  'approval refuse': { args: ({ operation }) => ['approval', 'refuse', operation], exits: [5] },
  'approval policy': {
    args: ({ tenant }) => ['approval', 'policy', 'backup restore', '--require', '--tenant', tenant],
  },

  'tenant deactivate': { args: ({ tenant }) => ['tenant', 'deactivate', tenant, '--running', 'cancel'] },
  'tenant extend': { args: ({ tenant }) => ['tenant', 'extend', tenant, '--days', '2'] },
  'tenant reactivate': { args: about('tenant', 'reactivate') },
  'tenant delete': {
    args: ({ tenant, folder }) => [
      ...['tenant', 'delete', tenant, '--hard', `--confirm=${tenant}`, '--second-look', '1'],
      ...['--certificate', path.join(folder, `${tenant}.json`)],
    ],
  },
  // Of a tenant that lives there is none.
  'certificate get': { args: ({ erased }) => ['certificate', 'get', erased], exits: [0, 5] },
};
