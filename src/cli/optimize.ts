import type { Command } from 'commander';
import type { OptimizationStatus } from '../client/optimization.js';
import { parseTenantId } from '../domain/ids.js';
import { OPTIMIZATIONS } from '../domain/optimization.js';
import {
  type ChangeOptions,
  type CommonOptions,
  type WaitOptions,
  follow,
  withChange,
  withClient,
  withOutput,
  withWait,
} from './context.js';
import { answer, table } from './output.js';

export function addOptimizeCommands(program: Command): void {
  const optimize = program
    .command('optimize')
    .description('evaluate, label and retrain the routing of a tenant');

  withWait(
    optimize
      .command('run <id>')
      .description('evaluate, label and retrain now, without waiting for the schedules'),
  ).action(async (id: string, options: WaitOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      if (options.dryRun) {
        const plan = await client.optimization.planRun(tenant);
        const { enabled, why, experiences } = plan;
        return answer(options.output, { dryRun: true, ...plan }, () =>
          enabled ? `would run; ${experiences.fresh} new labels` : `would not run: ${why}`,
        );
      }
      const handle = await client.optimization.run(tenant, options.reason);
      const result = await follow(handle, options);
      answer(options.output, result ?? { tenant, operation: handle.operation }, () =>
        result === undefined
          ? `operation ${handle.operation}`
          : [
              `${result.evaluated} spans evaluated, ${result.annotated} decisions labelled by the judge`,
              ...(result.judge === null ? [] : [result.judge]),
              result.applied
                ? `routing configuration version ${result.version}: ${result.why}`
                : `routing configuration unchanged: ${result.why}`,
            ].join('\n'),
      );
    });
  });

  for (const [name, enabled, about] of [
    ['enable', true, 'switch optimization on in both configurations, and make its schedules'],
    [
      'disable',
      false,
      'switch it off and remove its schedules; what was learnt stays (config rollback takes it back)',
    ],
  ] as const)
    withChange(optimize.command(`${name} <id>`).description(about)).action(
      async (id: string, options: ChangeOptions) => {
        const tenant = parseTenantId(id);
        const { reason, dryRun, output } = options;
        await withClient(async (client) => {
          const switched = await client.optimization.switch(tenant, enabled, reason, dryRun);
          answer(
            output,
            { ...(dryRun ? { dryRun } : {}), ...switched },
            () => `optimization of ${tenant} ${dryRun ? 'would be' : 'is'} ${name}d`,
          );
        });
      },
    );

  withOutput(
    optimize.command('status <id>').description('schedules, last runs, labels, and what retraining came to'),
  ).action(async (id: string, { output }: CommonOptions) => {
    const tenant = parseTenantId(id);
    await withClient(async (client) => {
      const status = await client.optimization.status(tenant);
      answer(output, status, () => statusText(status));
    });
  });
}

function statusText({
  tenant,
  enabled,
  why,
  schedules,
  runs,
  experiences,
  retrainings,
}: OptimizationStatus): string {
  const { kept, labelled, fresh } = experiences;
  const [last] = retrainings;
  return [
    `optimization of ${tenant}: ${enabled ? 'enabled' : `not enabled, ${why}`}`,
    table(
      ['WHAT', 'NEXT', 'LAST', 'COUNT', 'WHY'],
      OPTIMIZATIONS.map((what) => {
        const schedule = schedules.find((each) => each.what === what);
        const run = runs[what];
        const next =
          schedule === undefined ? 'no schedule' : schedule.paused ? 'paused' : (schedule.next ?? '-');
        return [what, next, run ? `${run.outcome}, ${run.at}` : '-', run?.count ?? '-', run?.why ?? ''];
      }),
    ),
    `${kept} decisions kept, ${labelled} labelled, ${fresh} new labels to learn from`,
    ...(last
      ? [`last retraining ${last.at}: ${last.applied ? `version ${last.toVersion}, ` : ''}${last.why}`]
      : []),
  ].join('\n');
}
