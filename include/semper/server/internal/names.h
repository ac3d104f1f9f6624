// What a NameRegistry's parts share (server/name_registry.h): names only, for its public header.
#pragma once

namespace semper::internal {

class NameHolding;
class NamesOffice;

}  // namespace semper::internal
