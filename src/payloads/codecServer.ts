import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { z } from 'zod';
import { OpsError } from '../domain/errors.js';
import { readBounded } from '../readBounded.js';

export interface CodecServerOptions {
  readonly codec: PayloadCodec;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Pages that may ask: the Temporal UI's, such as `http://127.0.0.1:8233`. */
  readonly origins: readonly string[];
  /** What every request must carry as `Authorization: Bearer`; undefined: nothing, only for loopback. */
  readonly token?: string | undefined;
}

/** A page of a history with its payloads in base64. */
const MAX_BYTES = 32 * 1024 * 1024;
const base64 = z.base64().max(MAX_BYTES);
const body = z.object({
  payloads: z
    .array(z.object({ metadata: z.record(z.string().max(200), base64).optional(), data: base64.optional() }))
    .max(10_000),
});

class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Temporal's remote codec: `POST /encode` and `/decode` of `{"payloads": […]}` in proto3 JSON, for its UI and command. Only
 * pages of the given origins are answered: whatever else a browser shows on this machine is not.
 *
 * @throws the system's error when the address cannot be listened on
 */
export async function serveCodec(options: CodecServerOptions): Promise<Server & { readonly url: string }> {
  const server = createServer((request, response) => {
    answer(request, options).then(
      ({ status, text }) => respond(response, status, text),
      (error: unknown) => {
        const status = error instanceof Refusal ? error.status : error instanceof OpsError ? 400 : 500;
        const message = status === 500 ? 'the codec failed' : (error as Error).message;
        respond(response, status, JSON.stringify({ message }));
      },
    );
    allowOrigin(request, response, options.origins);
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return Object.assign(server, { url: `http://${host}:${port}` });
}

/** Headers only: they go with whatever is answered, so that the page may read why it was refused. */
function allowOrigin(request: IncomingMessage, response: ServerResponse, origins: readonly string[]): void {
  const { origin } = request.headers;
  response.setHeader('vary', 'origin');
  if (origin === undefined || !origins.includes(origin)) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-allow-credentials', 'true');
  response.setHeader('access-control-allow-methods', 'POST');
  response.setHeader('access-control-allow-headers', 'content-type, x-namespace, authorization');
}

async function answer(
  request: IncomingMessage,
  { codec, origins, token }: CodecServerOptions,
): Promise<{ status: number; text: string }> {
  const { origin, authorization } = request.headers;
  if (origin !== undefined && !origins.includes(origin)) throw new Refusal(403, 'not for this page');
  const path = request.url?.split('?')[0];
  if (path !== '/encode' && path !== '/decode') throw new Refusal(404, 'see /encode and /decode');
  // What a browser asks before; it carries no token yet.
  if (request.method === 'OPTIONS') return { status: 204, text: '' };
  if (request.method !== 'POST') throw new Refusal(405, 'POST it');
  if (token !== undefined && !isToken(authorization, token)) throw new Refusal(401, 'it wants its token');
  // No form of a foreign page can send this without asking before.
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    throw new Refusal(415, 'send application/json');
  const payloads = await payloadsOf(request);
  const done = await (path === '/encode' ? codec.encode(payloads) : codec.decode(payloads));
  return { status: 200, text: JSON.stringify({ payloads: done.map(toJson) }) };
}

async function payloadsOf(request: IncomingMessage): Promise<Payload[]> {
  const text = await readBounded(request, MAX_BYTES);
  if (text === undefined) throw new Refusal(413, `it is over ${MAX_BYTES} bytes`);
  const parsed = body.safeParse(json(text));
  if (!parsed.success) throw new Refusal(400, 'it is not {"payloads": [{"metadata": {…}, "data": …}]}');
  return parsed.data.payloads.map(({ metadata, data }) => ({
    metadata: Object.fromEntries(
      Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value, 'base64')]),
    ),
    data: Buffer.from(data ?? '', 'base64'),
  }));
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function toJson({ metadata, data }: Payload): object {
  const encoded = Object.entries(metadata ?? {}).map(([name, value]) => [
    name,
    Buffer.from(value).toString('base64'),
  ]);
  return {
    metadata: Object.fromEntries(encoded) as object,
    data: Buffer.from(data ?? []).toString('base64'),
  };
}

/** In constant time, whatever the lengths. */
function isToken(header: string | undefined, token: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return header !== undefined && timingSafeEqual(hash(header), hash(`Bearer ${token}`));
}

function respond(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(text);
}
