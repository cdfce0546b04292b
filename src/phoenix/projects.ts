import { type PhoenixClient, checkProjectName, requireStatus } from './client.js';

export interface PhoenixProject {
  readonly id: string;
  readonly name: string;
}

export async function findProject(phoenix: PhoenixClient, name: string): Promise<PhoenixProject | undefined> {
  const found = await phoenix.get<{ data: PhoenixProject }>(`/v1/projects/${checkProjectName(name)}`);
  return found?.data;
}

/** Get, create, get again: a name that exists already answers 500, never 409, and so does losing a race to create it. */
export async function ensureProject(
  phoenix: PhoenixClient,
  name: string,
  description: string,
): Promise<PhoenixProject> {
  const there = await findProject(phoenix, name);
  if (there) return there;
  const answer = await phoenix.send('POST', '/v1/projects', { name: checkProjectName(name), description });
  if (answer.status === 200) return ((await answer.json()) as { data: PhoenixProject }).data;
  const now = await findProject(phoenix, name);
  if (now) return now;
  await requireStatus(answer, 200);
  throw new Error('unreachable');
}

/** Deletes the project with its traces; none there is success. */
export async function deleteProject(phoenix: PhoenixClient, name: string): Promise<void> {
  await requireStatus(await phoenix.send('DELETE', `/v1/projects/${checkProjectName(name)}`), 204, 404);
}
