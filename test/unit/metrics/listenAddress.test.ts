import { expect, test } from 'vitest';
import { parseListenAddress } from '../../../src/metrics/listenAddress.js';

test.each([
  ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }],
  ['0.0.0.0:0', { host: '0.0.0.0', port: 0 }],
  ['[::1]:9464', { host: '::1', port: 9464 }],
])('%s is an address to listen on', (text, address) => {
  expect(parseListenAddress(text, 'X')).toEqual(address);
});

test.each([
  '',
  '9464',
  ':9464',
  'localhost:9464',
  '::1:9464',
  '[127.0.0.1]:1',
  '127.0.0.1:70000',
  '127.0.0.1:',
])('%j is none, and the message says of which variable', (text) => {
  expect(() => parseListenAddress(text, 'CVOPS_METRICS_ADDRESS')).toThrow(
    expect.objectContaining({
      type: 'InvalidInput',
      message: expect.stringContaining('CVOPS_METRICS_ADDRESS') as string,
    }),
  );
});
