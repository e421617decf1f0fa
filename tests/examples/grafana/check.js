// SPDX-License-Identifier: GPL-2.0
//
// Says in what a JSON file differs from a JSON schema: node check.js SCHEMA FILE. Exit status: 0 if in nothing.

'use strict';

const fs = require('fs');
const path = require('path');

const [schema, file] = process.argv.slice(2).map((name) => path.resolve(name));
const Ajv = require(require.resolve('ajv', { paths: [path.dirname(schema)] }));
const read = (name) => JSON.parse(fs.readFileSync(name, 'utf8'));

const valid = new Ajv({ allErrors: true, strict: false }).compile(read(schema));
if (!valid(read(file))) {
  for (const error of valid.errors) {
    console.log(`${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
  }
  process.exit(1);
}
