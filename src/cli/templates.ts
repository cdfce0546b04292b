import type { Command } from 'commander';
import { DEFAULT_TEMPLATE, TEMPLATE_FIELDS } from '../domain/templates.js';
import { confirm } from './confirm.js';
import { type CommonOptions, collectSetting, withClient, withOutput } from './context.js';
import { answer, table } from './output.js';

interface SetOptions extends CommonOptions {
  readonly set: Record<string, string>;
  readonly from?: string;
  readonly reason: string;
  readonly dryRun: boolean;
}

export function addTemplateCommands(program: Command): void {
  const template = program.command('template').description('templates of new tenants');
  const fields = Object.keys(TEMPLATE_FIELDS) as (keyof typeof TEMPLATE_FIELDS)[];

  withOutput(template.command('list').description('built-in ones, then your own')).action(
    async (options: CommonOptions) => {
      await withClient(async (client) => {
        const templates = await client.templates.list();
        answer(options.output, { templates }, () =>
          table(
            ['TEMPLATE', 'BUILT IN', ...fields.map((field) => field.toUpperCase())],
            templates.map((t) => [
              t.name,
              t.builtIn ? 'yes' : 'no',
              ...fields.map((f) => String(t.values[f] ?? '-')),
            ]),
          ),
        );
      });
    },
  );

  withOutput(template.command('show <name>').description('one template')).action(
    async (name: string, options: CommonOptions) => {
      await withClient(async (client) => {
        const shown = await client.templates.show(name);
        answer(options.output, shown, () => JSON.stringify(shown, null, 2));
      });
    },
  );

  withOutput(
    template
      .command('set <name>')
      .description('add a template of your own, or change it; tenants that exist keep their configuration')
      .option('--set <key=value>', `${fields.join(', ')}; may be repeated`, collectSetting, {})
      .option('--from <base>', `begin as this template (its own values, else ${DEFAULT_TEMPLATE})`)
      .option('--reason <text>', 'why, for the audit log', '')
      .option('--dry-run', 'print what it would be, do nothing', false),
  ).action(async (name: string, options: SetOptions) => {
    await withClient(async (client) => {
      const { set: overrides, from, reason, dryRun } = options;
      const written = await client.templates.set({ name, from, overrides, dryRun }, reason);
      answer(options.output, { ...(dryRun ? { dryRun } : {}), ...written }, () =>
        JSON.stringify(written, null, 2),
      );
    });
  });

  withOutput(
    template
      .command('remove <name>')
      .description('remove a template of your own')
      .option('--confirm <name>', 'the name again, instead of being asked')
      .option('--reason <text>', 'why, for the audit log', '')
      .option('--dry-run', 'print what would be removed, do nothing', false),
  ).action(
    async (name: string, options: CommonOptions & { confirm?: string; reason: string; dryRun: boolean }) => {
      await withClient(async (client) => {
        if (options.dryRun) {
          const there = await client.templates.remove(name, options.reason, true);
          answer(options.output, { dryRun: true, removed: there }, () => `would remove ${there.name}`);
          return;
        }
        await confirm(name, options.confirm, `the removal of template ${name}`);
        await client.templates.remove(name, options.reason);
        answer(options.output, { name, removed: true }, () => `template ${name} is removed`);
      });
    },
  );
}
