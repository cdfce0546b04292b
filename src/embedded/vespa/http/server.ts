import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import type { ApiHandler, ApiRequest, ApiResponse } from '../api.js';

/** A body over the limit of its handler; answered with 413. */
export class BodyTooLarge extends Error {
  constructor(
    readonly size: number,
    readonly limit: number,
  ) {
    super(`Document operation request size ${size} bytes exceeds maximum size of ${limit} bytes.`);
  }
}

type AnyRequest = http.IncomingMessage | http2.Http2ServerRequest;
type AnyResponse = http.ServerResponse | http2.Http2ServerResponse;

const PREFACE = 'PRI ';

/**
 * One port that speaks HTTP/1.1 and cleartext HTTP/2 by prior knowledge, as Vespa's container does: the first bytes of a
 * connection tell which.
 */
export class ApiServer {
  private readonly sockets = new Set<net.Socket>();
  private readonly server: net.Server;

  constructor(private readonly handler: ApiHandler) {
    const listener = (request: AnyRequest, response: AnyResponse) => void this.serve(request, response);
    const one = http.createServer(
      { keepAliveTimeout: 180_000, requestTimeout: 0, maxHeaderSize: 64 * 1024 },
      listener,
    );
    const two = http2.createServer(
      { settings: { maxConcurrentStreams: 512, initialWindowSize: 1 << 20 } },
      listener,
    );
    two.on('sessionError', () => undefined);
    this.server = net.createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket)).on('error', () => undefined);
      socket.once('data', (first: Buffer) => {
        socket.pause();
        socket.unshift(first);
        if (first.toString('latin1', 0, PREFACE.length) === PREFACE) {
          // It takes the socket's handle and what is buffered by itself: a resumed socket would lose the preface.
          two.emit('connection', socket);
        } else {
          one.emit('connection', socket);
          socket.resume();
        }
      });
    });
  }

  async listen(port: number, host: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject).listen(port, host, () => resolve());
    });
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private async serve(request: AnyRequest, response: AnyResponse): Promise<void> {
    let answer: ApiResponse;
    try {
      answer = await this.handler(toApiRequest(request));
    } catch (error) {
      const status = error instanceof BodyTooLarge ? 413 : 500;
      const message = error instanceof Error ? error.message : String(error);
      answer = {
        status,
        headers: { 'content-type': 'application/json; charset=UTF-8' },
        body: JSON.stringify({ message }),
      };
    }
    send(response, answer);
  }
}

function send(response: AnyResponse, answer: ApiResponse): void {
  const { body } = answer;
  response.statusCode = answer.status;
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
  if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
    const bytes = Buffer.from(body ?? '');
    if (answer.status !== 204) response.setHeader('content-length', bytes.length);
    (response as http.ServerResponse).end(bytes);
    return;
  }
  body.on('error', () => response.destroy());
  body.pipe(response);
  response.on('close', () => body.destroy());
}

function toApiRequest(request: AnyRequest): ApiRequest {
  const url = request.url ?? '/';
  const at = url.indexOf('?');
  const headers = request.headers as Record<string, string | undefined>;
  return {
    method: request.method ?? 'GET',
    path: at < 0 ? url : url.slice(0, at),
    query: at < 0 ? '' : url.slice(at + 1),
    headers,
    host: headers['host'] ?? headers[':authority'] ?? 'localhost',
    body: async (limit = Infinity) => {
      const raw = await readAll(request, limit);
      return headers['content-encoding'] === 'gzip' ? inflate(raw, limit) : raw;
    },
  };
}

function inflate(raw: Buffer, limit: number): Buffer {
  try {
    return gunzipSync(raw, limit === Infinity ? {} : { maxOutputLength: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new BodyTooLarge(limit + 1, limit);
    throw error;
  }
}

async function readAll(stream: Readable, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Read to the end all the same: an answer to a half-sent request is lost on many clients.
    if (size <= limit) chunks.push(chunk);
  }
  if (size > limit) throw new BodyTooLarge(size, limit);
  return Buffer.concat(chunks);
}
