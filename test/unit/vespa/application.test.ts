import { describe, expect, it } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import { type DeployOptions, type PackageRequest, deployRequests } from '../../../src/vespa/application.js';
import { DeployError, UnknownOutcome } from '../../../src/vespa/configServer.js';
import { NoAnswer } from '../../../src/vespa/http.js';
import { editServices, initialServices, mappedSchemas } from '../../../src/vespa/package/services.js';
import {
  type CallName,
  type Fault,
  type Files,
  ScriptedConfigServer,
} from '../../support/scriptedConfigServer.js';

const SERVICES = 'services.xml';
const OVERRIDES = 'validation-overrides.xml';
const now = () => new Date('2026-03-01T12:00:00Z');
const options: DeployOptions = { now, pause: async () => undefined };

const putting = (id: string, ...names: string[]): PackageRequest => ({
  id,
  put: names.map((name) => ({ name, sd: `schema ${name} {}` })),
  remove: [],
});
const breaking = (id: string, name = id): PackageRequest => ({
  id,
  put: [{ name, sd: `schema ${name} broken` }],
  remove: [],
});
const taking = (id: string, ...remove: string[]): PackageRequest => ({ id, put: [], remove });
const deploy = (server: ScriptedConfigServer, ...requests: PackageRequest[]) =>
  deployRequests(server, requests, options);

/** A server on which somebody deployed these schemas, and a file that we know nothing of. */
function serverWith(...schemas: string[]): ScriptedConfigServer {
  const server = new ScriptedConfigServer();
  server.deployAsOther((files) => {
    files.set(SERVICES, Buffer.from(initialServices(schemas)));
    files.set('components/search.jar', Buffer.from([0, 255, 13, 10]));
    for (const name of schemas) files.set(`schemas/${name}.sd`, Buffer.from(`schema ${name} {}`));
  });
  return server;
}

function addSchema(name: string, sd = `schema ${name} {}`): (files: Files) => void {
  return (files) => {
    const services = files.get(SERVICES)?.toString('utf8') ?? initialServices([]);
    files.set(SERVICES, Buffer.from(editServices(services, { add: [name], remove: [] })));
    files.set(`schemas/${name}.sd`, Buffer.from(sd));
  };
}

const mapped = (server: ScriptedConfigServer) => mappedSchemas(server.text(SERVICES) ?? '').toSorted();
const refusedBy = (outcomes: readonly { id: string; ok: boolean }[]) =>
  outcomes.filter(({ ok }) => !ok).map(({ id }) => id);

/** Something that happens once, before the n-th call of a name. */
function once(name: CallName, what: () => Fault | void, nth = 1): ScriptedConfigServer['script'] {
  let seen = 0;
  return (call) => (call === name && ++seen === nth ? what() : undefined);
}

async function failureOf(work: Promise<unknown>): Promise<OpsError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OpsError);
  return error as OpsError;
}

const conflict = (): Fault => ({
  error: new DeployError(409, 'ACTIVATION_CONFLICT', 'overtaken'),
  done: false,
});

describe("somebody else's deploy in between", () => {
  it.each<CallName>([
    'activeGeneration',
    'createSessionFromActive',
    'copied',
    'readFile',
    'putFile',
    'prepare',
    'listFiles',
    'activate',
  ])('before %s keeps what they added, and blames no request', async (call) => {
    const server = serverWith('ticket');
    server.script = once(call, () => server.deployAsOther(addSchema('theirs')));
    const { outcomes, deploys, conflicts } = await deploy(server, putting('ours', 'ours'));
    expect(refusedBy(outcomes)).toEqual([]);
    expect({ deploys, conflicts }).toEqual({ deploys: 1, conflicts: call === 'activeGeneration' ? 0 : 1 });
    expect(mapped(server)).toEqual(['ours', 'theirs', 'ticket']);
  });

  it.each(Array.from({ length: 12 }, (_, n) => n + 1))(
    'while the bad request is sought, at its prepare %i, starts again and refuses only that one',
    async (nth) => {
      const server = serverWith('ticket');
      server.script = once('prepare', () => server.deployAsOther(addSchema('theirs')), nth);
      const { outcomes } = await deploy(
        server,
        ...['a', 'b', 'c', 'd'].map((name) => putting(name, name)),
        breaking('bad'),
        putting('e', 'e'),
      );
      expect(refusedBy(outcomes)).toEqual(['bad']);
      expect(mapped(server)).toEqual(expect.arrayContaining(['a', 'b', 'c', 'd', 'e', 'ticket']));
      expect(mapped(server)).not.toContain('bad');
    },
  );

  it('with a removal of ours: what they add at that moment is not removed by our override', async () => {
    for (const call of ['copied', 'prepare', 'listFiles', 'activate'] as const) {
      const server = serverWith('ticket', 'ours');
      server.script = once(call, () => server.deployAsOther(addSchema('theirs')));
      await deploy(server, taking('r', 'ours'));
      expect(mapped(server)).toEqual(['theirs', 'ticket']);
    }
  });

  it.each<CallName>(['prepare', 'activate'])('409 of %s is tried again', async (call) => {
    const server = serverWith('ticket');
    server.script = once(call, conflict);
    expect(await deploy(server, putting('ours', 'ours'))).toMatchObject({ deploys: 1, conflicts: 1 });
  });

  it('that does the very thing is the generation we answer with', async () => {
    const server = serverWith('ticket');
    server.script = once('createSessionFromActive', () => server.deployAsOther(addSchema('ours')));
    expect(await deploy(server, putting('p', 'ours'))).toMatchObject({
      deploys: 0,
      generation: server.generation,
    });
  });

  it('and undone again: a copy that caught it is not activated', async () => {
    const server = serverWith('ticket');
    const { generation, active } = server;
    const undo = once('copied', () => {
      Object.assign(server, { generation, active });
    });
    const doIt = once('createSessionFromActive', () =>
      server.deployAsOther((files) => {
        addSchema('undone')(files);
        files.set('cvops/revision.json', Buffer.from('{"revision":"of another deployer"}'));
      }),
    );
    server.script = (call, args) => doIt(call, args) ?? undo(call, args);
    expect(await deploy(server, putting('p', 'ours'))).toMatchObject({ deploys: 1, conflicts: 1 });
    expect(mapped(server)).toEqual(['ours', 'ticket']);
  });

  it('a session that expired, or that somebody wrote to, is left for a new one', async () => {
    for (const call of ['putFile', 'prepare', 'activate'] as const) {
      const server = serverWith('ticket');
      server.script = once(call, () => ({
        error: new DeployError(404, 'NOT_FOUND', 'no session'),
        done: false,
      }));
      expect(await deploy(server, putting('p', 'ours'))).toMatchObject({ deploys: 1, conflicts: 1 });
    }
    const server = serverWith('ticket');
    let written = false;
    server.script = (call, [session]) => {
      if (call !== 'activate' || written) return;
      written = true;
      void server.putFile(session as string, 'schemas/other.sd', Buffer.from('schema other {}'));
    };
    expect(await deploy(server, putting('p', 'ours'))).toMatchObject({ deploys: 1, conflicts: 1 });
    expect(server.text('schemas/other.sd')).toBeUndefined();
  });

  it('an application deleted in between is begun anew', async () => {
    const server = serverWith('ticket');
    server.script = once('createSessionFromActive', () => void (server.active = undefined));
    expect(await deploy(server, putting('p', 'ours'))).toMatchObject({ deploys: 1, conflicts: 1 });
    expect(mapped(server)).toEqual(['ours']);
  });

  it('without end is given up as Unavailable, with nothing activated', async () => {
    const server = serverWith('ticket');
    server.script = (call) => (call === 'activate' ? conflict() : undefined);
    const error = await failureOf(
      deployRequests(server, [putting('o', 'ours')], { ...options, maxConflicts: 3 }),
    );
    expect(error).toMatchObject({
      type: 'Unavailable',
      hint: 'find out who else deploys to this application',
    });
    expect(server.count('activate')).toBe(4);
    expect(server.activations).toBe(0);
  });
});

describe('an application that does not exist', () => {
  it('is begun with the schemas asked for', async () => {
    const server = new ScriptedConfigServer();
    expect(await deploy(server, putting('a', 'a'), putting('b', 'b'))).toMatchObject({
      deploys: 1,
      conflicts: 0,
    });
    expect(mapped(server)).toEqual(['a', 'b']);
  });

  it.each<CallName>(['createSession', 'readFile', 'prepare', 'listFiles', 'activate'])(
    'that becomes one before %s is added to, not replaced',
    async (call) => {
      const server = new ScriptedConfigServer();
      server.script = once(call, () => server.deployAsOther(addSchema('theirs')));
      expect((await deploy(server, putting('a', 'a'))).deploys).toBe(1);
      expect(mapped(server)).toEqual(['a', 'theirs']);
    },
  );

  it('has nothing to remove: done, and no empty package is deployed', async () => {
    const server = new ScriptedConfigServer();
    expect(await deploy(server, taking('r', 'gone'))).toEqual({
      outcomes: [{ id: 'r', ok: true }],
      generation: 0,
      deploys: 0,
      conflicts: 0,
    });
    expect(server.calls).toEqual(['activeGeneration']);
  });

  it('takes the others when one request is bad', async () => {
    const server = new ScriptedConfigServer();
    const { outcomes } = await deploy(server, putting('a', 'a'), breaking('bad'), putting('c', 'c'));
    expect(outcomes).toEqual([
      { id: 'a', ok: true },
      { id: 'bad', ok: false, error: "Invalid application: schema 'bad' cannot be parsed" },
      { id: 'c', ok: true },
    ]);
    expect(mapped(server)).toEqual(['a', 'c']);
  });

  it('stays so when every request is bad', async () => {
    const server = new ScriptedConfigServer();
    expect(await deploy(server, breaking('a'), breaking('b'))).toMatchObject({ generation: 0, deploys: 0 });
    expect(server.active).toBeUndefined();
  });
});

describe('requests that the server refuses', () => {
  it('of two that clash, the later one, and all others are deployed', async () => {
    const server = serverWith('ticket');
    const { outcomes } = await deploy(
      server,
      putting('one', 'tAa'),
      putting('two', 'other'),
      putting('three', 'tBB'),
      putting('four', 'another'),
    );
    expect(refusedBy(outcomes)).toEqual(['three']);
    expect(outcomes[2]!.error).toContain("'tBB' is already registered");
    expect(mapped(server)).toEqual(['another', 'other', 'tAa', 'ticket']);
  });

  it('not one that takes the place of what another request removes', async () => {
    const server = serverWith('ticket', 'tAa');
    const { outcomes } = await deploy(server, putting('put', 'tBB'), breaking('bad'), taking('take', 'tAa'));
    expect(refusedBy(outcomes)).toEqual(['bad']);
    expect(mapped(server)).toEqual(['tBB', 'ticket']);
  });

  it('one of a hundred is found in a number of prepares that grows with the logarithm', async () => {
    for (const [at, prepares] of [
      [0, 17],
      [37, 17],
      [99, 10],
    ] as const) {
      const server = serverWith('ticket');
      const all = Array.from({ length: 100 }, (_, n) => putting(`r${n}`, `s${n}`));
      all[at] = breaking(`r${at}`, `s${at}`);
      expect(refusedBy((await deploy(server, ...all)).outcomes)).toEqual([`r${at}`]);
      expect(server.count('prepare')).toBeLessThanOrEqual(prepares);
    }
  });

  it('all of a hundred cost two prepares each, not seven', async () => {
    const server = serverWith('ticket');
    const all = Array.from({ length: 100 }, (_, n) => breaking(`r${n}`, `s${n}`));
    const { outcomes, deploys } = await deploy(server, ...all);
    expect(refusedBy(outcomes)).toHaveLength(100);
    expect(deploys).toBe(0);
    expect(server.count('prepare')).toBeLessThanOrEqual(202);
  });

  it('a removal of nothing and a schema that is there already need no deploy', async () => {
    const server = serverWith('ticket');
    expect(await deploy(server, putting('p', 'ticket'), taking('r', 'gone'))).toMatchObject({ deploys: 0 });
    expect(server.activations + server.count('prepare')).toBe(0);
  });

  it('none, when the active package is itself invalid', async () => {
    const server = serverWith('ticket');
    server.deployAsOther(addSchema('worn', 'broken by an upgrade of the server'));
    const error = await failureOf(deploy(server, putting('a', 'a'), putting('b', 'b')));
    expect(error).toMatchObject({ type: 'Rejected', hint: 'deploy a valid package first' });
    expect(error.message).toContain(
      "the active package itself is refused: Invalid application: schema 'worn'",
    );
  });

  it.each([
    [[putting('p', 'a'), taking('r', 'a')], 'puts and removes a'],
    [[putting('p', 'a'), breaking('q', 'a')], 'puts two texts as a'],
  ])('a batch that contradicts itself is no batch', async (requests, message) => {
    const error = await failureOf(deploy(serverWith('ticket'), ...requests));
    expect(error).toMatchObject({ type: 'Conflict' });
    expect(error.message).toContain(message);
  });

  it('the same schema put twice is mapped once', async () => {
    const server = serverWith('ticket');
    expect(refusedBy((await deploy(server, putting('p', 'a'), putting('q', 'a'))).outcomes)).toEqual([]);
    expect(mapped(server)).toEqual(['a', 'ticket']);
  });
});

describe('a server that does not answer', () => {
  const errors: readonly [string, () => Error][] = [
    ['no answer', () => new UnknownOutcome('no answer')],
    ['500', () => new UnknownOutcome('config server answered 500')],
    ['a read without answer', () => new NoAnswer('no answer')],
    ['a read with 503', () => new DeployError(503, 'UNKNOWN', 'restarting')],
  ];

  it.each(errors)('%s at any one call, with or without its effect: deployed once', async (_name, error) => {
    const requests = [putting('p', 'ours'), taking('r', 'old')];
    const faultless = serverWith('ticket', 'old');
    await deploy(faultless, ...requests);
    for (const done of [false, true])
      for (let nth = 1; nth <= faultless.calls.length; nth++) {
        const server = serverWith('ticket', 'old');
        server.script = () => (server.calls.length === nth ? { error: error(), done } : undefined);
        expect(await deploy(server, ...requests)).toMatchObject({
          deploys: 1,
          generation: server.generation,
        });
        expect(server.activations).toBe(1);
        expect(mapped(server)).toEqual(['ours', 'ticket']);
      }
  });

  it('at any one call of a first deploy: deployed once', async () => {
    for (const done of [false, true])
      for (let nth = 1; nth <= 14; nth++) {
        const server = new ScriptedConfigServer();
        server.script = () =>
          server.calls.length === nth ? { error: new UnknownOutcome('no answer'), done } : undefined;
        expect(await deploy(server, putting('p', 'ours'))).toMatchObject({ deploys: 1 });
        expect(server.activations).toBe(1);
      }
  });

  it('whose activation is late lets one of the two in', async () => {
    const server = serverWith('ticket');
    let late: (() => void) | undefined;
    server.script = (call, [session]) => {
      if (call === 'activate' && late === undefined) {
        late = () => void server.activate(session as string);
        return { error: new UnknownOutcome('504'), done: false };
      }
      // The second try is prepared when the first one's activation happens after all.
      if (call === 'listFiles' && late !== undefined && server.activations === 0) late();
      return undefined;
    };
    expect(await deploy(server, putting('p', 'ours'))).toMatchObject({ deploys: 1 });
    expect(server.activations).toBe(1);
    expect(mapped(server)).toEqual(['ours', 'ticket']);
  });

  it('for good: the error itself, for the retry of the activity', async () => {
    const server = serverWith('ticket');
    server.script = (call) =>
      call === 'prepare' ? { error: new UnknownOutcome('504'), done: false } : undefined;
    await expect(deploy(server, putting('p', 'ours'))).rejects.toThrow(UnknownOutcome);
    expect(server.activations).toBe(0);
  });
});

describe('the override of a removal', () => {
  it.each([
    undefined,
    "<validation-overrides>\r\n  <allow until='2026-03-09'>indexing-change</allow>\r\n</validation-overrides>",
  ])('stands for the removing deploy only, beside %j', async (theirs) => {
    const server = serverWith('ticket', 'old');
    server.deployAsOther((files) => theirs !== undefined && files.set(OVERRIDES, Buffer.from(theirs)));
    await deploy(server, taking('r', 'old'));
    expect(server.text(OVERRIDES)).toMatch(/<allow until="2026-03-02" [^>]*>schema-removal<\/allow>/);
    await deploy(server, putting('p', 'ours'));
    expect(server.text(OVERRIDES)).toBe(theirs);
  });

  it('is not written for a file that no mapping names', async () => {
    const server = serverWith('ticket');
    server.deployAsOther((files) => files.set('schemas/old.sd', Buffer.from('schema old {}')));
    expect((await deploy(server, taking('r', 'old'))).deploys).toBe(1);
    expect([server.text('schemas/old.sd'), server.text(OVERRIDES)]).toEqual([undefined, undefined]);
  });
});

describe('the guard', () => {
  it.each(['schemas/ours.sd', SERVICES, 'cvops/revision.json', OVERRIDES])(
    'refuses when the server lost our write of %s, and blames no request',
    async (lost) => {
      const server = serverWith('ticket', 'old');
      server.written = (path, body) => (path === lost ? undefined : body);
      const error = await failureOf(deploy(server, putting('p', 'ours'), taking('r', 'old')));
      expect(error.type).toBe('VerificationFailed');
      expect(error.message).toContain(lost);
      expect(server.activations).toBe(0);
    },
  );

  it('refuses when the server did not delete what we removed', async () => {
    const server = serverWith('ticket', 'old');
    server.deleted = () => false;
    expect(await failureOf(deploy(server, taking('r', 'old')))).toMatchObject({ type: 'VerificationFailed' });
    expect(server.activations).toBe(0);
  });

  it.each(['schemas/ticket.sd', 'components/search.jar'])(
    'refuses when the session has lost %s, although a removal is allowed',
    async (lost) => {
      const server = serverWith('ticket', 'old');
      server.listed = (paths, session) =>
        session === undefined ? paths : paths.filter((path) => path !== lost);
      const error = await failureOf(deploy(server, taking('r', 'old')));
      expect(error).toMatchObject({ type: 'VerificationFailed' });
      expect(error.message).toContain(`would also remove file ${lost}`);
      expect(server.activations).toBe(0);
    },
  );

  it('refuses when the active package does not show what we planned to remove', async () => {
    const server = serverWith('ticket', 'old');
    server.listed = (paths) => paths.filter((path) => path !== 'schemas/old.sd');
    expect((await failureOf(deploy(server, taking('r', 'old')))).message).toContain('would not remove file');
    expect(server.activations).toBe(0);
  });

  it('refuses when a mapping that nobody asked for goes, although its file stays', async () => {
    const server = serverWith('ticket', 'old');
    server.script = (call, [session]) => {
      // The server's copy lacks a mapping: its services.xml is not the one of the active package.
      if (call === 'prepare')
        void server.putFile(session as string, SERVICES, Buffer.from(initialServices([])));
      return undefined;
    };
    const error = await failureOf(deploy(server, taking('r', 'old')));
    expect(error.message).toContain('would also remove mapping ticket');
    expect(server.activations).toBe(0);
  });
});
