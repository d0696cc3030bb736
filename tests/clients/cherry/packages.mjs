// Loaded first, with `node --import`: the npm packages are not beside these scripts but in the folder that
// CLIENT_PACKAGES names, because nothing is installed into the source tree.
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const ours = new URL(".", import.meta.url).href;
const installed = pathToFileURL(`${process.env.CLIENT_PACKAGES}/package.json`).href;

registerHooks({
  resolve(name, context, next) {
    const bare = !/^(?:\.|\/|node:|file:)/.test(name);
    return next(name, bare && context.parentURL?.startsWith(ours) ? { ...context, parentURL: installed } : context);
  },
});
