import { unit } from '@fed/tooling/vitest';

export default unit();
