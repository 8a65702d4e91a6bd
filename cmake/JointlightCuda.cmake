# SPDX-License-Identifier: BSD-3-Clause
# The optional module jointlight._cuda: JOINTLIGHT_CUDA = AUTO (where nvcc is found), ON, OFF.
# Device code is a static library compiled by nvcc; the Python module is compiled by the host
# compiler alone, so that nvcc never reads a Python header. The CUDA runtime is linked statically:
# the module loads on machines without a driver.

if(JOINTLIGHT_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  set(JOINTLIGHT_WITH_CUDA FALSE)
  if(CMAKE_CUDA_COMPILER)
    set(JOINTLIGHT_WITH_CUDA TRUE)
  endif()
else()
  set(JOINTLIGHT_WITH_CUDA ${JOINTLIGHT_CUDA})
endif()
if(NOT JOINTLIGHT_WITH_CUDA)
  message(STATUS "jointlight: without the CUDA module")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # the last one also as PTX, for devices yet to come
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
message(STATUS "jointlight: CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")

set(CUDA_GENERATED "${CMAKE_CURRENT_BINARY_DIR}/generated/cuda")
set(CUDA_SOURCES csrc/backend/cuda/cuda_backend.cu csrc/backend/cuda/foreign_memory.cu
    csrc/backend/cuda/probe.cu csrc/backend/cuda/profile_table.cu)
set(CUDA_PROFILE_STEMS "")
foreach(PROFILE IN LISTS PROFILE_STEMS)
  string(APPEND CUDA_PROFILE_STEMS "X(${PROFILE}) ")
  configure_file(csrc/backend/cuda/profile_entry.cu.in "${CUDA_GENERATED}/profile_${PROFILE}.cu" @ONLY)
  list(APPEND CUDA_SOURCES "${CUDA_GENERATED}/profile_${PROFILE}.cu")
endforeach()
configure_file(csrc/backend/cuda/profile_stems.hpp.in "${CUDA_GENERATED}/profile_stems.hpp" @ONLY)

# Messages name files by their place in the repository.
set(CUDA_FLAGS --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra,-Wconversion
    "-Xcompiler=-fmacro-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/=")
if(JOINTLIGHT_WERROR)
  list(APPEND CUDA_FLAGS --Werror=all-warnings -Xcompiler=-Werror)
endif()
if(JOINTLIGHT_CUDA_RESOURCES)  # read by tests/gpu/kernel_resources.py
  list(APPEND CUDA_FLAGS -Xptxas=-v)
endif()
add_library(jointlight_cuda STATIC ${CUDA_SOURCES})
target_include_directories(jointlight_cuda PUBLIC csrc PRIVATE "${CUDA_GENERATED}")
target_compile_options(jointlight_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${CUDA_FLAGS}>)
list(JOIN CMAKE_CUDA_ARCHITECTURES " " CUDA_ARCHITECTURE_TEXT)
target_compile_definitions(jointlight_cuda PRIVATE JL_ISA=isa_cuda
  JOINTLIGHT_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURE_TEXT}")
set_target_properties(jointlight_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET hidden)
target_link_libraries(jointlight_cuda PUBLIC jointlight_core)

pybind11_add_module(_cuda csrc/bindings/cuda/module.cpp)
target_link_libraries(_cuda PRIVATE jointlight_cuda)
target_compile_options(_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${JOINTLIGHT_WARNINGS}>)
set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
install(TARGETS _cuda DESTINATION jointlight)
