import { z } from 'zod';
import { type PhoenixClient, PhoenixError } from './client.js';
import { findProject } from './projects.js';

/** How long traces are kept, by their start: whichever of the two comes first. At least one is given. */
export interface TraceRetention {
  readonly maxDays?: number;
  readonly maxCount?: number;
}

/** Names are not unique in Phoenix; ours carry the project, which is one tenant's alone. */
export function retentionPolicyName(project: string): string {
  return `cvops/${project}`;
}

/** Phoenix sweeps at each full hour of UTC at the most; its minute must be 0. */
const HOURLY = '0 * * * *';

/** Names alone: Phoenix asks its database once more for the projects of each policy, and there is one a tenant. */
const LIST = `query List($after: String) { projectTraceRetentionPolicies(first: 1000, after: $after) {
  pageInfo { hasNextPage endCursor } edges { node { id name } } } }`;
const listShape = z.object({
  projectTraceRetentionPolicies: z.object({
    edges: z.array(z.object({ node: z.object({ id: z.string(), name: z.string() }) })),
    pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullable() }),
  }),
});
const READ = `query Read($id: ID!) { node(id: $id) { ... on ProjectTraceRetentionPolicy {
  id
  rule { __typename
    ... on TraceRetentionRuleMaxDays { maxDays }
    ... on TraceRetentionRuleMaxCount { maxCount }
    ... on TraceRetentionRuleMaxDaysOrCount { maxDays maxCount } }
  projects(first: 100) { edges { node { name } } } } } }`;
const policyShape = z.object({
  id: z.string(),
  rule: z.object({ maxDays: z.number().optional(), maxCount: z.number().optional() }),
  projects: z.object({ edges: z.array(z.object({ node: z.object({ name: z.string() }) })) }),
});
const readShape = z.object({ node: policyShape });
const CREATE = `mutation Create($input: CreateProjectTraceRetentionPolicyInput!) {
  createProjectTraceRetentionPolicy(input: $input) { node { id } } }`;
const PATCH = `mutation Patch($input: PatchProjectTraceRetentionPolicyInput!) {
  patchProjectTraceRetentionPolicy(input: $input) { node { id } } }`;
const DELETE = `mutation Delete($id: ID!) { deleteProjectTraceRetentionPolicy(input: { id: $id }) { __typename } }`;

type Policy = z.infer<typeof policyShape>;

/**
 * One policy of the project's own, with this rule. What is right already is left alone; a second one, from a race, goes.
 *
 * @returns false when there is no such project
 * @throws PhoenixError also when it is not what was asked for afterwards
 */
export async function ensureRetentionPolicy(
  phoenix: PhoenixClient,
  project: string,
  retention: TraceRetention,
): Promise<boolean> {
  const found = await findProject(phoenix, project);
  if (found === undefined) return false;
  const [policy, ...more] = await policiesOf(phoenix, project);
  const rule = ruleOf(retention);
  if (policy === undefined) {
    const input = {
      name: retentionPolicyName(project),
      cronExpression: HOURLY,
      rule,
      addProjects: [found.id],
    };
    await phoenix.graphql(CREATE, { input }, z.unknown());
  } else if (!isRight(policy, project, retention)) {
    await phoenix.graphql(PATCH, { input: { id: policy.id, rule, addProjects: [found.id] } }, z.unknown());
  } else if (more.length === 0) return true;
  for (const { id } of more) await phoenix.graphql(DELETE, { id }, z.unknown());
  const now = await policiesOf(phoenix, project);
  if (now.some((policy) => isRight(policy, project, retention))) return true;
  throw new PhoenixError(200, `project ${project} has not the retention policy that it was given`);
}

/** How long traces of a project are kept by the policy that operations made. @returns undefined: there is none */
export async function retentionOf(
  phoenix: PhoenixClient,
  project: string,
): Promise<TraceRetention | undefined> {
  const policy = (await policiesOf(phoenix, project)).find((each) => isAssigned(each, project));
  if (policy === undefined) return undefined;
  const { maxDays, maxCount } = policy.rule;
  return { ...(maxDays === undefined ? {} : { maxDays }), ...(maxCount === undefined ? {} : { maxCount }) };
}

/** Ids of the trace-retention policies that operations made for a project: one, or more after a race. */
export async function retentionPolicies(phoenix: PhoenixClient, project: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after: string | null = null; ;) {
    const page: z.infer<typeof listShape> = await phoenix.graphql(LIST, { after }, listShape);
    const { edges, pageInfo } = page.projectTraceRetentionPolicies;
    for (const { node } of edges) if (node.name === retentionPolicyName(project)) ids.push(node.id);
    if (!pageInfo.hasNextPage) return ids;
    after = pageInfo.endCursor;
  }
}

/** A policy outlives its project: it is deleted by itself. None there is success. */
export async function deleteRetentionPolicies(phoenix: PhoenixClient, project: string): Promise<void> {
  for (const id of await retentionPolicies(phoenix, project)) {
    await phoenix.graphql(DELETE, { id }, z.unknown());
  }
}

async function policiesOf(phoenix: PhoenixClient, project: string): Promise<Policy[]> {
  const policies: Policy[] = [];
  for (const id of await retentionPolicies(phoenix, project))
    policies.push((await phoenix.graphql(READ, { id }, readShape)).node);
  return policies;
}

function isRight(policy: Policy, project: string, { maxDays, maxCount }: TraceRetention): boolean {
  return isAssigned(policy, project) && policy.rule.maxDays === maxDays && policy.rule.maxCount === maxCount;
}

function isAssigned({ projects }: Policy, project: string): boolean {
  return projects.edges.some(({ node }) => node.name === project);
}

function ruleOf({ maxDays, maxCount }: TraceRetention): object {
  if (maxDays === undefined) return { maxCount: { maxCount } };
  return maxCount === undefined ? { maxDays: { maxDays } } : { maxDaysOrCount: { maxDays, maxCount } };
}
