import { z } from 'zod';
import { type PhoenixClient, checkProjectName, read, requireStatus, unexpected } from './client.js';

const project = z.object({ id: z.string(), name: z.string(), description: z.string().nullish() });
const answer = z.object({ data: project });

export type PhoenixProject = Readonly<z.infer<typeof project>>;

export async function findProject(phoenix: PhoenixClient, name: string): Promise<PhoenixProject | undefined> {
  return (await phoenix.get(`/v1/projects/${checkProjectName(name)}`, answer))?.data;
}

/**
 * Get, create, get again: a name that exists already answers 500, never 409, and so does losing a race to create it.
 *
 * @throws PhoenixError
 */
export async function ensureProject(
  phoenix: PhoenixClient,
  name: string,
  description: string,
): Promise<PhoenixProject> {
  const there = await findProject(phoenix, name);
  if (there) return there;
  const created = await phoenix.send('POST', '/v1/projects', { name: checkProjectName(name), description });
  if (created.status === 200) return read(created, answer, 'POST /v1/projects').data;
  const now = await findProject(phoenix, name);
  if (now) return now;
  throw unexpected(created);
}

/**
 * Deletes the project with its traces; none there is success. Spans that Phoenix has accepted and not yet stored bring
 * the project back: senders must be stopped first, and the project looked for again later.
 */
export async function deleteProject(phoenix: PhoenixClient, name: string): Promise<void> {
  requireStatus(await phoenix.send('DELETE', `/v1/projects/${checkProjectName(name)}`), 204, 404);
}
