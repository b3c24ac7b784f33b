/** Checks of what comes from files. */
export {
  array,
  boolean,
  type core,
  enum,
  type infer,
  int,
  literal,
  number,
  object,
  prettifyError,
  strictObject,
  string,
  tuple,
  unknown,
  type ZodType,
} from 'zod';
