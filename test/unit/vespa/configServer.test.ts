import { type IncomingMessage, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { unzipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigServer, DeployError, UnknownOutcome } from '../../../src/vespa/configServer.js';

/** The answers of a config server, as they come over HTTP. */
const TENANT = '/application/v2/tenant/default';

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
}

let http: Server;
let server: ConfigServer;
let calls: Call[];
/** A status and a body; undefined cuts the connection. */
let answer: (call: Call) => readonly [number, string | object] | undefined;

beforeEach(async () => {
  calls = [];
  http = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const call = { method: request.method!, path: request.url!, body };
      calls.push(call);
      const given = answer(call);
      if (given === undefined) return request.socket.destroy();
      const [status, text] = given;
      return response.writeHead(status).end(typeof text === 'string' ? text : JSON.stringify(text));
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  server = new ConfigServer(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
});
afterEach(() => {
  http.closeAllConnections();
  http.close();
});

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return Buffer.concat((await request.toArray()) as Buffer[]);
}

describe('an answer to a write', () => {
  it.each([408, 500, 502, 503, 504])('%i: of unknown outcome, also with no body', async (status) => {
    answer = () => [status, ''];
    await expect(server.prepare('7')).rejects.toThrow(UnknownOutcome);
    await expect(server.activate('7')).rejects.toThrow(`config server answered ${status}`);
  });

  it('none: of unknown outcome', async () => {
    answer = () => undefined;
    await expect(server.activate('7')).rejects.toThrow(UnknownOutcome);
  });

  it.each([
    [400, 'INVALID_APPLICATION_PACKAGE', { invalidPackage: true, conflict: false }],
    [400, 'BAD_REQUEST', { invalidPackage: true, conflict: false }],
    [400, 'UNKNOWN_VESPA_VERSION', { invalidPackage: false, conflict: false }],
    [404, 'NOT_FOUND', { invalidPackage: false, conflict: false }],
    [409, 'ACTIVATION_CONFLICT', { invalidPackage: false, conflict: true }],
    [409, 'APPLICATION_LOCK_FAILURE', { invalidPackage: false, conflict: true }],
  ])('%i %s: the code and the message of the server', async (status, code, kind) => {
    answer = () => [status, { 'error-code': code, message: 'its own words' }];
    const error: unknown = await server.activate('7').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DeployError);
    expect(error).toMatchObject({ status, code, message: 'its own words', ...kind });
  });
});

describe('reading', () => {
  it('what is not there is undefined, and a listing of nothing is empty', async () => {
    answer = () => [404, { 'error-code': 'NOT_FOUND', message: 'nothing' }];
    expect(await server.activeGeneration()).toBeUndefined();
    expect(await server.readFile('services.xml', '7')).toBeUndefined();
    expect(await server.listFiles()).toEqual([]);
  });

  it('a listing gives paths under the root, without folders', async () => {
    answer = ({ path }) => {
      const base = `http://config:19071${path.split('?')[0]}`;
      return [200, ['schemas/', 'schemas/a.sd', 'files/a%20b.bin'].map((name) => base + name)];
    };
    expect(await server.listFiles('7')).toEqual(['schemas/a.sd', 'files/a b.bin']);
    expect(calls[0]!.path).toBe(`${TENANT}/session/7/content/?recursive=true`);
  });

  it('an error is no absence', async () => {
    answer = () => [503, ''];
    await expect(server.activeGeneration()).rejects.toMatchObject({ name: 'DeployError', status: 503 });
  });
});

describe('a whole package', () => {
  const files = new Map([['services.xml', Buffer.from('<services/>\r\n')]]);

  it('that was prepared but not activated is activated by a call of its own', async () => {
    answer = ({ method }) =>
      method === 'POST'
        ? [200, { 'session-id': '12', activated: false, message: 'prepared, but activation failed: locked' }]
        : [200, { message: 'activated' }];
    expect(await server.prepareAndActivate(files)).toBe(12);
    expect(calls.map(({ method, path }) => `${method} ${path.split('?')[0]}`)).toEqual([
      `POST ${TENANT}/prepareandactivate`,
      `PUT ${TENANT}/prepareandactivate/12`,
    ]);
  });

  it('is not active when that call is refused', async () => {
    answer = ({ method }) =>
      method === 'POST'
        ? [200, { 'session-id': '12', activated: false, message: 'prepared, but activation failed: locked' }]
        : [409, { 'error-code': 'ACTIVATION_CONFLICT', message: 'overtaken' }];
    await expect(server.prepareAndActivate(files)).rejects.toMatchObject({ conflict: true });
  });

  it('goes as a zip that holds its bytes, and equal ones are equal', async () => {
    answer = () => [200, { 'session-id': '12' }];
    expect(await server.createSession(files)).toBe('12');
    await server.createSession(files);
    expect(Buffer.from(unzipSync(calls[0]!.body)['services.xml']!)).toEqual(files.get('services.xml'));
    expect(calls[1]!.body).toEqual(calls[0]!.body);
  });
});
