import type { TenantId } from './ids.js';
import { workflowIds } from './naming.js';

/** Header of a start, a schedule's action or an update: who asks, and a proof that it meant just this. */
export const CREDENTIAL_HEADER = 'cvops-principal';

/** From the least to the most; `system` is beside them: the workers' own, see {@link WORKFLOWS}. */
export const ROLES = ['reader', 'operator', 'admin', 'system'] as const;
export type Role = (typeof ROLES)[number];

type Least = Exclude<Role, 'system'>;

interface Rule {
  readonly least: Least;
  /** `tenant`: of the principal's own; `installation`: of everybody's, so that only an administrator has it. */
  readonly scope: 'tenant' | 'installation';
  /** Whether it changes anything: it can be asked what that would be, by `--dry-run`. */
  readonly changes: boolean;
}

const READ: Rule = { least: 'reader', scope: 'tenant', changes: false };
const CHANGE: Rule = { least: 'operator', scope: 'tenant', changes: true };
/** An administrator's, though it is about one tenant. */
const GOVERN: Rule = { least: 'admin', scope: 'tenant', changes: true };
const ALL: Rule = { least: 'admin', scope: 'installation', changes: true };
/** To see what is everybody's. */
const READ_ALL: Rule = { least: 'admin', scope: 'installation', changes: false };

/**
 * Who may do what: a verb is a command, with the option that makes it another one. Everything that decides reads this
 * table, and a test that tries each verb is held against it and makes `docs/access-table.md`.
 */
export const VERBS = {
  'tenant create': ALL,
  'tenant list': READ,
  'tenant show': READ,
  'tenant deactivate': CHANGE,
  'tenant reactivate': CHANGE,
  'tenant extend': CHANGE,
  'tenant delete': GOVERN,
  'template list': READ_ALL,
  'template show': READ_ALL,
  'template set': ALL,
  'template remove': ALL,
  'config get': READ,
  'config history': READ,
  'config diff': READ,
  'config set': CHANGE,
  'config rollback': CHANGE,
  'schema list': READ,
  'schema verify': READ,
  'schema deploy': CHANGE,
  'schema deploy --all': ALL,
  'schema drop': ALL,
  ingest: CHANGE,
  'watch add': CHANGE,
  'watch list': READ,
  'watch remove': CHANGE,
  'watch pause': CHANGE,
  'watch resume': CHANGE,
  'watch run': CHANGE,
  search: READ,
  route: READ,
  'optimize run': CHANGE,
  'optimize enable': CHANGE,
  'optimize disable': CHANGE,
  'optimize status': READ,
  'memory add': CHANGE,
  'memory search': READ,
  'memory list': READ,
  'memory stats': READ,
  'memory delete': CHANGE,
  'memory clear': CHANGE,
  'memory prune': CHANGE,
  'memory export': READ,
  'memory import': CHANGE,
  'memory schedule set': CHANGE,
  'memory schedule show': READ,
  'memory schedule remove': CHANGE,
  metrics: READ,
  'metrics --all': READ_ALL,
  'backup create': CHANGE,
  'backup verify': CHANGE,
  'backup restore': CHANGE,
  'backup restore --into': ALL,
  'backup drill': CHANGE,
  'backup list': READ,
  'backup hold': GOVERN,
  'backup release': GOVERN,
  'backup prune': CHANGE,
  'backup prune --all': ALL,
  'backup schedule': CHANGE,
  'backup schedule --list': READ,
  'op list': READ,
  'op show': READ,
  'op watch': READ,
  'op pause': CHANGE,
  'op resume': CHANGE,
  'op concurrency': CHANGE,
  'op cancel': CHANGE,
  'certificate get': READ,
  'quota show': READ,
  'quota set': GOVERN,
  health: READ,
  'health --all': READ_ALL,
  'alert list': READ,
  'alert silence': CHANGE,
  diagnose: READ,
  'diagnose --repair': CHANGE,
  'isolation verify': ALL,
  'audit list': READ,
  'audit verify': READ_ALL,
  'audit export': READ_ALL,
  'approval list': READ,
  'approval grant': GOVERN,
  'approval refuse': GOVERN,
  'approval policy': ALL,
  'token issue': ALL,
  'token list': READ_ALL,
  'token revoke': ALL,
  'token rotate-key': ALL,
} as const satisfies Record<string, Rule>;
export type Verb = keyof typeof VERBS;

/** Commands that ask nothing of an installation: they start, stop and look at one, check a file, or need a key they are given. */
export const LOCAL = ['up', 'down', 'status', 'demo', 'certificate verify', 'codec-server'] as const;

/** The system's role covers no verb: what it may start is named workflow by workflow. */
export function covers(role: Role, least: Least): boolean {
  return role !== 'system' && ROLES.indexOf(role) >= ROLES.indexOf(least);
}

export interface WorkflowRule {
  /** Starting it is this verb; undefined: nobody's but the system's. */
  readonly verb?: Verb;
  /** The workers start it themselves: what the registry says should run, and does not. */
  readonly system?: true;
  /**
   * Its input names things by other ids than their tenant's, such as a backup. A principal of one tenant must say in
   * `principalTenant` whose it is: the activities hold what they find against that.
   */
  readonly namesOwner?: true;
  /**
   * Once begun it does what the registry says, which outlasts who asked for it: a revoked token stops its start and its
   * messages only.
   */
  readonly outlives?: true;
  /** The one id that a person may start it under: of a tenant only one runs at a time, and what is asked of it is asked there. */
  readonly at?: (tenant: TenantId) => string;
  /** A tenant's schedules start it. Of any other a schedule's right, which says for no run who asks, starts none. */
  readonly scheduled?: true;
  /** Its id has no tenant in it, so that it keeps nobody's from starting. */
  readonly unnamed?: true;
  /** What its code may start as a child. */
  readonly children?: readonly string[];
}

/** What every workflow type is to access. One that is not here is started for nobody. */
export const WORKFLOWS: Readonly<Record<string, WorkflowRule>> = {
  createTenant: { verb: 'tenant create', at: workflowIds.createTenant },
  softDeleteTenant: {
    verb: 'tenant deactivate',
    at: workflowIds.retention,
    system: true,
    outlives: true,
    children: ['hardDeleteTenant'],
  },
  hardDeleteTenant: { verb: 'tenant delete', at: workflowIds.purge, system: true },
  deploySchemas: { verb: 'schema deploy', unnamed: true },
  ingestVideos: { verb: 'ingest' },
  watchVideos: { verb: 'watch add', scheduled: true, children: ['ingestVideos'] },
  backupTenant: { verb: 'backup create' },
  verifyBackup: { verb: 'backup verify', namesOwner: true },
  restoreTenant: {
    verb: 'backup restore',
    at: workflowIds.restore,
    namesOwner: true,
    children: ['createTenant'],
  },
  drillRestore: {
    verb: 'backup drill',
    namesOwner: true,
    children: ['restoreTenant', 'hardDeleteTenant'],
  },
  pruneBackups: { verb: 'backup prune', namesOwner: true },
  scheduledBackup: {
    verb: 'backup schedule',
    scheduled: true,
    children: ['backupTenant', 'verifyBackup', 'pruneBackups', 'drillRestore'],
  },
  clearMemory: { verb: 'memory clear' },
  importMemory: { verb: 'memory import' },
  pruneMemory: { verb: 'memory prune', scheduled: true },
  optimizeTenant: { verb: 'optimize run' },
  evaluateSpans: { verb: 'optimize enable', system: true, scheduled: true },
  annotateSpans: { verb: 'optimize enable', system: true, scheduled: true },
  retrainRouting: { verb: 'optimize enable', system: true, scheduled: true },
  verifyIsolation: { verb: 'isolation verify', system: true },
  testIsolation: { verb: 'isolation verify', children: ['createTenant', 'hardDeleteTenant'] },
  checkHealth: { verb: 'health', system: true, unnamed: true },
  reconcileQuotas: { system: true },
  reconcileRetention: { system: true },
};

/**
 * Workflows that work for everybody, whoever started them. Each request to the writer of the application package is proven by a
 * row of the registry (`src/registry/access.ts`); alerts are delivered as the registry has them.
 */
export const ENTITIES = { application: 'vespaApplication', alerts: 'deliverAlerts' } as const;

/** Messages that change something, by workflow type. Others carry nothing: they make a workflow look again. */
export const UPDATES: Readonly<Record<string, Readonly<Record<string, Verb>>>> = {
  softDeleteTenant: {
    deactivated: 'tenant deactivate',
    reactivate: 'tenant reactivate',
    extendRetention: 'tenant extend',
    purgeNow: 'tenant delete',
    decideApproval: 'approval grant',
  },
  hardDeleteTenant: { decideApproval: 'approval grant' },
  restoreTenant: { decideApproval: 'approval grant' },
  ingestVideos: { pause: 'op pause', resume: 'op resume', setConcurrency: 'op concurrency' },
};
