import { application } from '@fed/tooling/tsup';

export default application({ entry: { cli: 'src/cli.ts', worker: 'src/crew/worker.ts' } });
