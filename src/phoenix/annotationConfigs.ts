import { z } from 'zod';
import { type PhoenixClient, checkProjectName, requireStatus } from './client.js';

/** What people may annotate a span with, chosen from a list. */
export interface AnnotationConfig {
  /** Of the annotations that it makes; one such config for a whole Phoenix. */
  readonly name: string;
  readonly description: string;
  readonly values: readonly { readonly label: string; readonly score?: number }[];
}

const listed = z.object({ data: z.array(z.object({ name: z.string() })) });

/**
 * Makes Phoenix offer an annotation in a project. Again is fine. A config of that name that is there is taken as it is:
 * people may have changed it.
 *
 * @returns false when there is no such project
 * @throws PhoenixError
 */
export async function offerAnnotation(
  phoenix: PhoenixClient,
  project: string,
  config: AnnotationConfig,
): Promise<boolean> {
  const path = `/v1/projects/${checkProjectName(project)}/annotation_configs`;
  const there = await phoenix.get(`${path}?limit=1000`, listed);
  if (there === undefined) return false;
  const { name, description, values } = config;
  if (there.data.some((each) => each.name === name)) return true;
  const body = { type: 'CATEGORICAL', optimization_direction: 'MAXIMIZE', name, description, values };
  // 409: another tenant's optimization has made it.
  requireStatus(await phoenix.send('POST', '/v1/annotation_configs', body), 200, 409);
  const assigned = await phoenix.send('PUT', `${path}/${encodeURIComponent(name)}`);
  requireStatus(assigned, 200, 404);
  return assigned.status === 200;
}
