import type { Command } from 'commander';
import { KEEP_PERIODS, type KeepPolicy } from '../domain/keepPolicy.js';
import { wholeNumber } from './context.js';

const RULES = [
  ['keep-last <n>', 'last', 'the newest n'],
  ['keep-within-days <n>', 'withinDays', 'all of the n days before the newest'],
  ...KEEP_PERIODS.map(
    (rule) => [`keep-${rule} <n>`, rule, 'the newest of each, for the newest n that have one'] as const,
  ),
] as const;

export type KeepOptions = {
  readonly [rule in keyof KeepPolicy as `keep${Capitalize<rule>}`]?: number | undefined;
};

export function withKeep(command: Command): Command {
  for (const [flags, , what] of RULES) command.option(`--${flags}`, what, wholeNumber);
  return command;
}

/** @returns undefined when no rule was given */
export function policyOf(options: KeepOptions): KeepPolicy | undefined {
  const given = RULES.flatMap(([, rule]) => {
    const count = options[`keep${rule[0]!.toUpperCase()}${rule.slice(1)}` as keyof KeepOptions];
    return count === undefined ? [] : [[rule, count] as const];
  });
  return given.length === 0 ? undefined : Object.fromEntries(given);
}
