import { request as httpRequest, Agent } from 'node:http';
import { gzipSync } from 'node:zlib';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** One request as raw as Node sends it: the path goes out byte for byte. */
export function send(port, { method, path, body, headers = {}, gzip }) {
  let payload =
    body === undefined
      ? undefined
      : Buffer.isBuffer(body)
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const all = { ...(payload ? { 'content-type': 'application/json' } : {}), ...headers };
  if (gzip) {
    payload = gzipSync(payload);
    all['content-encoding'] = 'gzip';
  }
  if (payload) all['content-length'] = payload.length;
  return new Promise((resolve, reject) => {
    const call = httpRequest({ host: '127.0.0.1', port, method, path, headers: all, agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    // An answer that never comes is a finding too, not a hang.
    call.setTimeout(20_000, () => call.destroy(Object.assign(new Error('no answer'), { code: 'NO_ANSWER' })));
    call.on('error', reject);
    call.end(payload);
  });
}
