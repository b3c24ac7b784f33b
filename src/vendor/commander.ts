/** The arguments of commands. */
export { Command, InvalidArgumentError, Option } from 'commander';
