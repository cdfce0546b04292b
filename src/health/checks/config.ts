import { configProblems } from '../../domain/config/check.js';
import {
  CONFIG_KEYS,
  type ConfigKey,
  ROUTING_CONFIG,
  SYSTEM_CONFIG,
  TRACE_RETENTION,
  placeName,
} from '../../domain/config/keys.js';
import { readDenial, sentReferences } from '../../domain/config/references.js';
import type { Finding } from '../../domain/health/checks.js';
import { type ConfigVersion, configHistory, currentConfig } from '../../registry/config.js';
import { type Check, type CheckContext, unlessThere } from './check.js';

/** Without these a tenant cannot be served; a trace retention that is not there is the usual one. */
const NEEDED: readonly ConfigKey[] = [SYSTEM_CONFIG, ROUTING_CONFIG];
const FLAGS = new Map([
  [placeName(SYSTEM_CONFIG), ''],
  [placeName(ROUTING_CONFIG), ' --routing'],
  [placeName(TRACE_RETENTION), ' --trace-retention'],
]);
/** Former versions that are looked at for one to go back to. */
const FORMER = 20;

/** The configuration is there, fits today's rules, and refers to secrets that are read. */
export const configCheck: Check = {
  name: 'config',
  needs: [],
  skip: unlessThere,
  settledOnly: true,
  async run(context) {
    const there = await currentConfig(context.resources.pool, context.row.incarnation);
    const found = await Promise.all(
      CONFIG_KEYS.map(async (key): Promise<Finding[]> => {
        const version = there.find((each) => placeName(each) === placeName(key));
        if (version !== undefined)
          return [...(await invalid(context, key, version.value)), ...unread(context, key, version)];
        return NEEDED.includes(key) ? [missing(context, key)] : [];
      }),
    );
    return found.flat();
  },
};

function missing({ row }: CheckContext, key: ConfigKey): Finding {
  const repair = `cvops diagnose ${row.tenant} --repair`;
  return {
    subject: placeName(key),
    severity: 'critical',
    message: `configuration ${placeName(key)} is missing`,
    ...(row.state === 'active'
      ? { fix: repair, repair: 'write-config' }
      : { fix: `cvops tenant reactivate ${row.tenant} && ${repair}` }),
  };
}

async function invalid(context: CheckContext, key: ConfigKey, value: unknown): Promise<Finding[]> {
  const problems = problemsOf(context, key, value);
  if (problems.length === 0) return [];
  const said = problems.map(({ path, message }) => `${path} ${message}`).join('; ');
  return [
    {
      subject: placeName(key),
      severity: 'warning',
      message: `configuration ${placeName(key)} does not fit its rules: ${said}`.slice(0, 1000),
      fix: await wayBack(context, key, problems[0]!.path),
    },
  ];
}

/** References that nobody answers for: what they stand for is not sent, so that what needs it fails. */
function unread({ resources, row }: CheckContext, key: ConfigKey, version: ConfigVersion): Finding[] {
  return sentReferences(key, version.value).flatMap((sent): Finding[] => {
    const denial = readDenial(row.tenant, resources.rules, version.vouched, sent);
    if (denial === undefined) return [];
    const flags = FLAGS.get(placeName(key)) ?? '';
    return [
      {
        subject: `${placeName(key)}/${sent.path}`,
        severity: 'warning',
        message: `the secret of ${denial.why}`.slice(0, 1000),
        // By an administrator, who answers for it from then on: nobody should do so by pasting what stands there.
        fix: `cvops config set ${row.tenant}${flags} --set ${sent.path}=REFERENCE`,
      },
    ];
  });
}

/** To the newest version that fits; where none does, the field is set by hand. */
async function wayBack(context: CheckContext, key: ConfigKey, field: string): Promise<string> {
  const { resources, row } = context;
  const at = { ...key, incarnation: row.incarnation };
  const history = await configHistory(resources.pool, at, { limit: FORMER });
  const sound = history.find(({ value }) => problemsOf(context, key, value).length === 0);
  const flags = FLAGS.get(placeName(key)) ?? '';
  return sound === undefined
    ? `cvops config set ${row.tenant}${flags} --set ${field}=VALUE`
    : `cvops config rollback ${row.tenant}${flags} --version ${sound.version}`;
}

function problemsOf({ resources, row }: CheckContext, key: ConfigKey, value: unknown) {
  const { tenant, memoryEnabled } = row;
  return configProblems(key, value, {
    tenant,
    memoryEnabled,
    allowedPrivate: resources.allowedPrivate,
  });
}
