#!/usr/bin/env node
import '../index.node';
import { VERSION } from '../base/version';
import { Command } from '../vendor/commander';
import { benchCommand } from './bench';
import { compareCommand } from './compare';
import { convertCommand } from './convert';
import { formatsCommand } from './formats';
import { inspectCommand } from './inspect';
import { moeCommand } from './moe';

new Command('tfjs-lowbit')
  .description('Convert TensorFlow.js models to INT8, and compare them with the float models')
  .version(VERSION)
  .addCommand(convertCommand())
  .addCommand(inspectCommand())
  .addCommand(formatsCommand())
  .addCommand(compareCommand())
  .addCommand(benchCommand())
  .addCommand(moeCommand())
  .parseAsync();
