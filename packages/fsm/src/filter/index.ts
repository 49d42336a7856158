/**
 * The door of @fed/fsm/filter: `filter=` expressions over rows of the catalog. Apart from the other door, because its
 * regular expressions bring an engine of their own.
 */
export { compileFilter, type Predicate } from './compile.ts';
export { type Expression, FilterError, type Operator, parseFilter } from './expression.ts';
export {
  checkFields,
  checkServiceNodeFields,
  type Field,
  type Fields,
  nodeDumpFields,
  nodeFields,
  serviceFields,
  serviceNodeFields,
} from './fields.ts';
