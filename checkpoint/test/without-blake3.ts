import { registerHooks } from "node:module";

/*
 * Loaded before a program (`node --import`), it makes that program's machine one without the native BLAKE3 package, as a
 * platform is that it is not built for.
 */
registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== "@napi-rs/blake-hash") return next(specifier, context);
    throw new Error("Cannot load @napi-rs/blake-hash because this process is told to be without it");
  },
});
