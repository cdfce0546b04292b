/** AES-256-GCM, as all that this product encrypts is encrypted with it. */
export const CIPHER = 'aes-256-gcm';
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** 32 bytes in hex or base64, as of `openssl rand -hex 32`. @returns undefined when the text is neither */
export function keyBytesOf(text: string): Buffer | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}
