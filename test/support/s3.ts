import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { startFauxqs } from 'fauxqs';
import { s3Client } from '../../src/sources/s3/client.js';

/**
 * What the way to the server does to one request: cuts the body off after so many bytes, goes silent after them, or
 * answers itself.
 */
export type Fault =
  | { readonly cutAfter: number }
  | { readonly stallAfter: number }
  | { readonly status: number; readonly code: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly body: string };

export interface S3Server {
  readonly endpoint: string;
  readonly client: S3Client;
  /** Requests that came through, as `GET /bucket/key`. */
  readonly seen: string[];
  /** Asked for each request; undefined lets it through. */
  fault: (request: http.IncomingMessage) => Fault | undefined;
  put(bucket: string, key: string, body: string | Buffer): Promise<void>;
  /** Puts many small objects, past the proxy. */
  fill(bucket: string, keys: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** An S3 server (fauxqs) with its buckets, behind a proxy that can do to it what networks and Amazon do. */
export async function startS3(...buckets: string[]): Promise<S3Server> {
  const server = await startFauxqs({ port: 0, logger: false });
  const proxy = http.createServer((request, response) => {
    made.seen.push(`${request.method} ${request.url}`);
    const fault = request.method === 'GET' ? made.fault(request) : undefined;
    if (fault !== undefined && !isCut(fault)) return answer(response, fault);
    const { method, url, headers } = request;
    const onward = http.request({ port: server.port, method, path: url, headers }, (back) => {
      back.on('error', () => undefined);
      response.writeHead(back.statusCode!, back.headers);
      if (fault === undefined) return void back.pipe(response);
      back.once('data', (chunk: Buffer) => {
        const bytes = 'cutAfter' in fault ? fault.cutAfter : fault.stallAfter;
        response.write(chunk.subarray(0, bytes), () => 'cutAfter' in fault && response.destroy());
        back.destroy();
      });
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const client = s3Client({ s3Endpoint: endpoint }, {});
  const made: S3Server = {
    endpoint,
    client,
    seen: [],
    fault: () => undefined,
    async put(Bucket, Key, Body) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body }));
    },
    async fill(bucket, keys) {
      const direct = `http://127.0.0.1:${server.port}/${bucket}`;
      for (let from = 0; from < keys.length; from += 50)
        await Promise.all(
          keys.slice(from, from + 50).map((key) => fetch(`${direct}/${key}`, { method: 'PUT', body: 'x' })),
        );
    },
    async stop() {
      client.destroy();
      proxy.closeAllConnections();
      proxy.close();
      await server.stop();
    },
  };
  for (const Bucket of buckets) await client.send(new CreateBucketCommand({ Bucket }));
  return made;
}

type Cut = { readonly cutAfter: number } | { readonly stallAfter: number };

function isCut(fault: Fault): fault is Cut {
  return 'cutAfter' in fault || 'stallAfter' in fault;
}

function answer(response: http.ServerResponse, fault: Exclude<Fault, Cut>): void {
  const head = { 'content-type': 'application/xml' };
  if ('body' in fault) return void response.writeHead(200, head).end(fault.body);
  const error = `<Error><Code>${fault.code}</Code><Message>secret-in-a-message</Message></Error>`;
  response.writeHead(fault.status, { ...head, ...fault.headers }).end(error);
}
