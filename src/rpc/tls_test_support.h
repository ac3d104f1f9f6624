// A certificate for localhost that signed itself, and its key, made when a test first asks for them
// by the openssl tool (Debian: openssl), so that no key lies in the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "semper/testing/temporary_folder.h"

namespace semper::rpc::rpc_test {

struct TestIdentity {
  std::string certificate;
  std::string private_key;
};

inline std::string whole_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

inline TestIdentity make_identity() {
  const testing::TemporaryFolder folder;
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 "
      "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
      "-keyout '" +
      folder.path("key") + "' -out '" + folder.path("certificate") + "' 2>/dev/null";
  const int code = std::system(command.c_str());
  TestIdentity identity{whole_file(folder.path("certificate")), whole_file(folder.path("key"))};
  if (code != 0 || identity.private_key.empty()) {
    throw std::runtime_error("openssl made no certificate; is the package openssl installed?");
  }
  return identity;
}

inline const TestIdentity& identity() {
  static const TestIdentity made = make_identity();
  return made;
}

}  // namespace semper::rpc::rpc_test
