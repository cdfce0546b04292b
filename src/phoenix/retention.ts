import { z } from 'zod';
import type { PhoenixClient } from './client.js';

/** Names are not unique in Phoenix; ours carry the project, which is one tenant's alone. */
export function retentionPolicyName(project: string): string {
  return `cvops/${project}`;
}

const LIST = `query { projectTraceRetentionPolicies(first: 1000) { edges { node { id name } } } }`;
const listShape = z.object({
  projectTraceRetentionPolicies: z.object({
    edges: z.array(z.object({ node: z.object({ id: z.string(), name: z.string() }) })),
  }),
});
const DELETE = `mutation Delete($id: ID!) { deleteProjectTraceRetentionPolicy(input: { id: $id }) { __typename } }`;

/** Ids of the trace-retention policies that operations made for a project: one, or more after a race. */
export async function retentionPolicies(phoenix: PhoenixClient, project: string): Promise<string[]> {
  const { projectTraceRetentionPolicies: found } = await phoenix.graphql(LIST, {}, listShape);
  return found.edges
    .filter(({ node }) => node.name === retentionPolicyName(project))
    .map(({ node }) => node.id);
}

/** A policy outlives its project: it is deleted by itself. None there is success. */
export async function deleteRetentionPolicies(phoenix: PhoenixClient, project: string): Promise<void> {
  for (const id of await retentionPolicies(phoenix, project)) {
    await phoenix.graphql(DELETE, { id }, z.unknown());
  }
}
