// kinesis-local listens on all interfaces, and has no setting for it. Loaded before it, this makes it the loopback.
"use strict";
const { Server } = require("node:net");

const { listen } = Server.prototype;
Server.prototype.listen = function (port, callback) {
    return listen.call(this, port, "127.0.0.1", callback);
};
