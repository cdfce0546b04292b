// The arrows of docs/architecture.md: cli → client → workflows → activities → src/* → src/domain.
const rule = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: to },
});
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    rule(
      'domain-is-pure',
      '^src/domain',
      '^(src/(?!domain)|workflows|activities|workers|node_modules/(?!@temporalio/common))',
      'domain imports nothing but itself',
    ),
    {
      name: 'domain-has-no-node',
      severity: 'error',
      from: { path: '^src/domain' },
      to: { dependencyTypes: ['core'] },
    },
    rule(
      'contracts-import-domain-only',
      '^src/contracts',
      '^(src/(?!domain|contracts)|workflows|activities|workers)',
      'contracts describe, they do not do',
    ),
    {
      name: 'workflows-import-domain-and-types',
      severity: 'error',
      from: { path: '^workflows' },
      to: { path: '^(src/(?!domain)|activities|workers)', dependencyTypesNot: ['type-only'] },
    },
    rule(
      'src-knows-no-layer-above',
      '^src/(vespa|phoenix|memory|video|encoders|ingest|search|tenants|registry|backup|optimize|access|certificates|purge|schedules|operations|notices|sources|limits|quotas|metrics|telemetry|health)/',
      '^(workflows|activities|workers|src/(cli|client|embedded)/)',
      'an outside system is used by activities, it uses none',
    ),
    rule(
      'activities-know-no-client',
      '^activities',
      '^(workflows|workers|src/(cli|client|embedded)/)',
      'activities are thin: they call src',
    ),
    rule(
      'client-knows-no-cli',
      '^src/client',
      '^(src/(cli|embedded)/|workers|activities)',
      'the typed client stands alone',
    ),
    rule(
      'emulator-stands-alone',
      '^src/embedded/vespa',
      '^(src/(?!embedded/vespa|domain)|workflows|activities|workers)',
      'the emulator must not share code with the client it proves',
    ),
  ],
  options: {
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
};
