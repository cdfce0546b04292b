import { OpsError } from '../domain/errors.js';

/** A failed call; `status` 0 when there was no answer at all. Both may pass, so neither is an `OpsError`. */
export class PhoenixError extends Error {
  override readonly name = 'PhoenixError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/**
 * The few REST and GraphQL calls of Phoenix that operations need. Its error bodies are plain text as often as JSON, and
 * an unknown path answers 200 with the UI's HTML, so the content type is checked before anything is parsed.
 */
export class PhoenixClient {
  constructor(
    private readonly url: string,
    private readonly timeoutMs = 30_000,
  ) {}

  /** @returns undefined for 404 */
  async get<T>(path: string): Promise<T | undefined> {
    const answer = await this.send('GET', path);
    if (answer.status === 404) return undefined;
    await requireStatus(answer, 200);
    if (!answer.headers.get('content-type')?.startsWith('application/json')) {
      throw new PhoenixError(answer.status, `GET ${path}: not a Phoenix API answer`);
    }
    return (await answer.json()) as T;
  }

  async send(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<Response> {
    try {
      return await fetch(new URL(path, this.url), {
        method,
        signal: AbortSignal.timeout(this.timeoutMs),
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
    } catch (error) {
      throw new PhoenixError(
        0,
        `no answer from Phoenix: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** Errors come as 200 with `errors`. */
  async graphql<T>(query: string, variables: Readonly<Record<string, unknown>>): Promise<T> {
    const answer = await this.send('POST', '/graphql', { query, variables });
    await requireStatus(answer, 200);
    const { data, errors } = (await answer.json()) as { data?: T; errors?: { message: string }[] };
    if (errors?.[0] || data === undefined)
      throw new PhoenixError(200, `GraphQL: ${errors?.[0]?.message ?? 'no data'}`);
    return data;
  }
}

export async function requireStatus(answer: Response, ...wanted: readonly number[]): Promise<void> {
  if (wanted.includes(answer.status)) return;
  throw new PhoenixError(
    answer.status,
    `Phoenix answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`,
  );
}

/** Names that survive a path and a URL: Phoenix accepts others, and then cannot find them again. */
export function checkProjectName(name: string): string {
  if (/^[a-z0-9_]{1,100}$/.test(name)) return name;
  throw new OpsError('InvalidInput', `not a Phoenix project name: ${JSON.stringify(name)}`);
}
