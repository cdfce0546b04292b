import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const temporalOutside = [
  '@temporalio/activity',
  '@temporalio/client',
  '@temporalio/worker',
  '@temporalio/testing',
];

export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.cvops', 'coverage'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked.map((c) => ({ ...c, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      // What is returned unawaited outlives the `using` and the `finally` around it.
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/require-await': 'off',
      // JSON comes as unknown; what is no scalar has been refused by then.
      '@typescript-eslint/no-base-to-string': 'off',
      'no-console': 'error',
    },
  },
  {
    // The sandbox has no Node; a type import of activities is fine, code of theirs is not.
    files: ['workflows/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: temporalOutside.map((name) => ({ name })),
          patterns: [
            {
              group: ['node:*', 'fs', 'path', 'crypto', 'zod'],
              message: 'workflow code has no Node and no zod',
            },
            {
              group: ['../activities/*', '../src/contracts/*'],
              allowTypeImports: true,
              message: 'types only',
            },
            {
              group: ['../src/*', '!../src/domain', '!../src/contracts'],
              allowTypeImports: true,
              message: 'workflows call src through activities',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['scripts/**/*.mjs', 'bin/*.js', '*.cjs', '*.js'],
    rules: { 'no-unused-vars': ['error', { argsIgnorePattern: '^_' }] },
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        fetch: 'readonly',
        setTimeout: 'readonly',
        module: 'writable',
      },
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
);
