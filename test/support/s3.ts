import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { startFauxqs } from 'fauxqs';
import { s3Client } from '../../src/sources/s3/client.js';

/**
 * What the way to the server does to one request: cuts the answer off after so many bytes, goes silent after them, cuts
 * the request off after so many bytes of its body, loses the whole answer, changes it, or answers itself.
 */
export type Fault =
  | { readonly cutAfter: number }
  | { readonly stallAfter: number }
  | { readonly resetAfter: number }
  | { readonly loseAnswer: true }
  | { readonly answerWith: (answer: ChangeableAnswer) => void }
  | { readonly status: number; readonly code: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly body: string };

export interface ChangeableAnswer {
  readonly headers: http.IncomingHttpHeaders;
  body: Buffer;
}

export interface S3Server {
  readonly endpoint: string;
  readonly client: S3Client;
  /** Multipart uploads that are open; the server itself cannot list them. */
  readonly uploads: Uploads;
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
    const fault = made.fault(request);
    if (fault !== undefined && ('status' in fault || 'body' in fault)) return answer(response, fault);
    const listing = made.uploads.listing(request);
    if (listing !== undefined && fault === undefined) return answer(response, { body: listing });
    const { method, url, headers } = request;
    const onward = http.request({ port: server.port, method, path: url, headers }, (back) => {
      back.on('error', () => undefined);
      if (fault !== undefined && ('cutAfter' in fault || 'stallAfter' in fault)) {
        response.writeHead(back.statusCode!, back.headers);
        back.once('data', (chunk: Buffer) => {
          const bytes = 'cutAfter' in fault ? fault.cutAfter : fault.stallAfter;
          response.write(chunk.subarray(0, bytes), () => 'cutAfter' in fault && response.destroy());
          back.destroy();
        });
        return;
      }
      if (method === 'GET' && fault === undefined && !isListing(request)) {
        response.writeHead(back.statusCode!, back.headers);
        return void back.pipe(response);
      }
      void buffer(back).then((body) => {
        made.uploads.learn(request, back.statusCode!, body.toString());
        if (fault !== undefined && 'loseAnswer' in fault) return void response.destroy();
        const changed = { headers: back.headers, body: isListing(request) ? inOrder(body) : body };
        if (fault !== undefined && 'answerWith' in fault) fault.answerWith(changed);
        if (method !== 'HEAD') changed.headers['content-length'] = String(changed.body.length);
        response.writeHead(back.statusCode!, changed.headers).end(changed.body);
      });
    });
    onward.on('error', () => response.destroy());
    if (fault === undefined || !('resetAfter' in fault)) return void request.pipe(onward);
    let taken = 0;
    request.on('data', (chunk: Buffer) => {
      taken += chunk.length;
      if (taken >= fault.resetAfter) request.socket.resetAndDestroy();
    });
    request.on('error', () => undefined);
    onward.destroy();
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const client = s3Client({ s3Endpoint: endpoint }, {});
  const made: S3Server = {
    endpoint,
    client,
    seen: [],
    uploads: new Uploads(),
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

/** Keeps the account of multipart uploads, as ListMultipartUploads shows them. */
export class Uploads {
  /** Key by upload id, and when it began. */
  readonly open = new Map<string, { readonly key: string; readonly at: Date }>();
  /** Uploads in one page of a listing. */
  pageSize = 1000;

  learn({ method, url }: http.IncomingMessage, status: number, body: string): void {
    const { key, query } = parts(url!);
    const id = query.get('uploadId');
    if (status >= 300) return;
    const begun = /<UploadId>(.*?)<\/UploadId>/.exec(body)?.[1];
    if (method === 'POST' && query.has('uploads') && begun !== undefined)
      this.open.set(begun, { key, at: new Date() });
    if (id !== null && (method === 'POST' || method === 'DELETE')) this.open.delete(id);
  }

  listing({ method, url }: http.IncomingMessage): string | undefined {
    const { key, query } = parts(url!);
    if (method !== 'GET' || key !== '' || !query.has('uploads')) return undefined;
    const all = [...this.open]
      .filter(([, upload]) => upload.key.startsWith(query.get('prefix') ?? ''))
      .sort(([a, { key: one }], [b, { key: other }]) => (`${one} ${a}` < `${other} ${b}` ? -1 : 1));
    const after = `${query.get('key-marker') ?? ''} ${query.get('upload-id-marker') ?? ''}`;
    const rest = all.filter(([id, upload]) => `${upload.key} ${id}` > after);
    const page = rest.slice(0, this.pageSize);
    const last = page.at(-1);
    const next = `<NextKeyMarker>${last?.[1].key}</NextKeyMarker><NextUploadIdMarker>${last?.[0]}</NextUploadIdMarker>`;
    const uploads = page.map(
      ([id, upload]) =>
        `<Upload><Key>${upload.key}</Key><UploadId>${id}</UploadId><Initiated>${upload.at.toISOString()}</Initiated></Upload>`,
    );
    const more = page.length < rest.length;
    return `<ListMultipartUploadsResult><IsTruncated>${more}</IsTruncated>${more ? next : ''}${uploads.join('')}</ListMultipartUploadsResult>`;
  }
}

function isListing({ method, url }: http.IncomingMessage): boolean {
  return method === 'GET' && parts(url!).query.has('list-type');
}

/** The server lists as a dictionary does, Amazon by bytes; no key in these tests needs more than one page to show it. */
function inOrder(page: Buffer): Buffer {
  const contents = /<Contents>.*?<\/Contents>\s*/gs;
  const text = page.toString();
  const key = (object: string) => /<Key>(.*?)<\/Key>/s.exec(object)![1]!;
  const sorted = (text.match(contents) ?? []).toSorted((a, b) =>
    Buffer.compare(Buffer.from(key(a)), Buffer.from(key(b))),
  );
  return Buffer.from(text.replace(contents, () => sorted.shift()!));
}

function parts(url: string): { key: string; query: URLSearchParams } {
  const { pathname, searchParams } = new URL(url, 'http://s3');
  return { key: decodeURIComponent(pathname.split('/').slice(2).join('/')), query: searchParams };
}

function answer(
  response: http.ServerResponse,
  fault: Extract<Fault, { status: number } | { body: string }>,
): void {
  const head = { 'content-type': 'application/xml' };
  if ('body' in fault) return void response.writeHead(200, head).end(fault.body);
  const error = `<Error><Code>${fault.code}</Code><Message>secret-in-a-message</Message></Error>`;
  response.writeHead(fault.status, { ...head, ...fault.headers }).end(error);
}
