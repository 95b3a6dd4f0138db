#!/usr/bin/env node
/*
 * What `bodywork` and `bw` of the installed package start. It is written for any Node, so that an old one can say what
 * is needed instead of failing at the first new word.
 */
var oldest = 24;

if (parseInt(process.versions.node, 10) < oldest) {
  console.error("bodywork needs Node " + oldest + " or newer; this is " + process.version + ".");
  process.exitCode = 1;
} else {
  keepCompiledCode();
  import("../dist/main.js");
}

/* V8's compiled form of our code is kept between runs, where no other user can write. */
function keepCompiledCode() {
  var path = require("node:path");
  var cache = process.env.XDG_CACHE_HOME || path.join(require("node:os").homedir(), ".cache");
  require("node:module").enableCompileCache(path.join(cache, "bodywork", "compiled"));
}
