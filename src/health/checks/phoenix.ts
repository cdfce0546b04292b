import { findProject } from '../../phoenix/projects.js';
import { type Check, unlessThere } from './check.js';

/** The project that the tenant's traces go to is there. */
export const phoenixCheck: Check = {
  name: 'phoenix',
  needs: ['phoenix'],
  skip: unlessThere,
  settledOnly: true,
  async run({ resources, row }) {
    const { tenant, phoenixProject } = row;
    if (await findProject(resources.phoenix, phoenixProject)) return [];
    return [
      {
        subject: phoenixProject,
        severity: 'warning',
        message: `Phoenix project ${phoenixProject} is missing, and with it the traces it had`,
        fix: `cvops diagnose ${tenant} --repair`,
        repair: 'make-project',
      },
    ];
  },
};
