import { defineConfig } from 'vitest/config';

// `unit` needs nothing but Node; the others start real servers and share them through globalSetup files. They run one
// after the other, in the order of `groupOrder`.
/** Real servers on a shared machine answer when they can: what matters is that the state is reached. */
const expect = { poll: { timeout: 30_000 } };
/** Concurrent tests of a file mostly wait, for servers and timers: all at once take as long as the longest. */
const maxConcurrency = 30;

/** With a second stack they run beside the others; so many that both lines of scripts/test.mjs take as long. */
const SECOND = [
  'test/integration/backup{Traces,Clone,Keeping,Consistency,Scheduled}.test.ts',
  'test/integration/{access,accessTable,audit,health,healthLost,isolation,payloadCodec,secrets,telemetry,tenantEdges}.test.ts',
  'test/faults/{backupKills,killWorker,memoryKilled}.test.ts',
];

/** What a run leaves out, for a run of its own: names of files in `test/`, without `.test.ts`. */
const BY_HAND = (process.env['TESTS_BY_HAND'] ?? '')
  .split(',')
  .filter((name) => name !== '')
  .map((name) => `test/${name}.test.ts`);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          expect,
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 30_000,
          // They wait more than they work, and by default two cores run one file at a time.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'workflows',
          expect,
          maxConcurrency,
          globalSetup: ['test/support/globalBundle.ts'],
          include: ['test/workflows/**/*.test.ts', 'test/replay/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'isolation',
          include: ['test/isolation/**/*.test.ts'],
          setupFiles: ['test/support/isolation/setup.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          // Minutes of two whole cores: after the others, whose clocks would suffer.
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          name: 'integration',
          expect,
          maxConcurrency,
          globalSetup: ['test/support/globalStack.ts'],
          include: ['test/integration/**/*.test.ts', 'test/faults/**/*.test.ts', 'test/browser/**/*.test.ts'],
          exclude: SECOND,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'second',
          expect,
          maxConcurrency,
          globalSetup: ['test/support/globalStack.ts'],
          include: SECOND,
          exclude: BY_HAND,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        // Not part of `npm test`: `npm test -- --project outages`.
        test: {
          name: 'outages',
          globalSetup: ['test/support/globalStack.ts'],
          include: ['test/outages/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 6 },
        },
      },
      {
        test: {
          name: 'packages',
          include: ['test/packages/**/*.test.ts'],
          testTimeout: 600_000,
          // After the tests that deploy them.
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
