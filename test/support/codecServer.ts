import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { inject } from 'vitest';
import { projectRoot } from '../../src/projectRoot.js';
import type { payloadsIn } from './historyBytes.js';

/** `cvops codec-server` in a process of its own, asked as the Temporal UI asks it. */
export class CodecServerProcess {
  private constructor(
    readonly url: string,
    private readonly printed: readonly string[],
    readonly stop: () => Promise<void>,
  ) {}

  static async start(env: Readonly<Record<string, string>>): Promise<CodecServerProcess> {
    const printed: string[] = [];
    const child = spawn(
      process.execPath,
      [path.join(projectRoot, 'bin', 'cvops.js'), 'codec-server', '--port', '0'],
      {
        env: { PATH: process.env['PATH'], CVOPS_HOME: inject('stack').home, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const closed = once(child, 'close');
    child.stdout.setEncoding('utf8').on('data', (text: string) => printed.push(text));
    const url = await new Promise<string>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        printed.push(text);
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(printed.join(''));
        if (found) resolve(found[0]);
      });
      closed.then(() => reject(new Error(`the codec server ended:\n${printed.join('')}`)), reject);
    });
    return new CodecServerProcess(url, printed, async () => {
      child.kill();
      await closed;
    });
  }

  /** All that it has printed. */
  get said(): string {
    return this.printed.join('');
  }

  decode(payloads: ReturnType<typeof payloadsIn>, token?: string): Promise<Response> {
    return fetch(`${this.url}/decode`, {
      method: 'POST',
      headers: {
        ...{ 'content-type': 'application/json', origin: inject('stack').addresses.temporalUiUrl },
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ payloads }),
    });
  }

  /** The texts of payloads, as encrypted or not. */
  async textsOf(payloads: ReturnType<typeof payloadsIn>, token?: string): Promise<string[]> {
    const answer = await this.decode(payloads, token);
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    const decoded = (await answer.json()) as { payloads: { data?: string }[] };
    return decoded.payloads.map(({ data = '' }) => Buffer.from(data, 'base64').toString());
  }
}
